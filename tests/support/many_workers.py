"""A study's rollouts by many helpers on one far results folder: all is the library's own but simulators and policy.

Each worker goes through stages as ``wm join`` does, with the real turns, stage execution, seal, ledger, leases and
scheduler. An episode takes 30 to 90 s and ends as its seed says. Some workers die, freeze or lose their renewals.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from support.far_files import BUCKET_S, LOST_LOCKS_S, ROOT, Server
from support.many_workers_figures import SHORTEST_S, SPREAD_S, Found, Plan
from support.mounted import mounted
from support.toy_world import SIM, SUITE, toy_cell
from support.virtual_time import Clock, Machine

from world_modality.benchmarks.contract import Observation, Step
from world_modality.cli.turns import Turns
from world_modality.rollout.episodes import Episode, environment_seed, episodes_of
from world_modality.rollout.messages import Begin, Command, Did, Scene, Timing
from world_modality.rollout.pool import Heard
from world_modality.rollout.records import Ledger, from_line
from world_modality.rollout.scheduler import Scheduler
from world_modality.store.done import DoneFile, content_digest
from world_modality.store.execute import execute
from world_modality.store.keys import stage_key
from world_modality.store.links import link_stage
from world_modality.store.stage import Facts, Input, StageContext, StageRequest
from world_modality.study.graph import Graph
from world_modality.study.specs import RolloutSpec

TREE = Path(ROOT) / "results"
STUDY = "many"
TASKS = 40
PATIENCE_S = 36_000.0  # and twenty times as long as it should take, until whoever still works is said to be stuck
STEPS = 10  # control steps of an episode: one query
VIEW = Observation({}, np.zeros(8, np.float32))


class Players:
    """The simulators of one worker, as a ``Pool``."""

    workers = 1

    def __init__(self, worker: Worker, key: str, slots: int) -> None:
        self._worker, self._key, self._slots = worker, key, slots
        self._begun: dict[int, Begin] = {}
        self._answers: list[Did] = []
        self._ends: dict[int, float] = {}

    def send(self, command: Command) -> None:
        if isinstance(command, Begin):
            self._begun[command.slot] = command
            scene = Scene("play", f"{command.init_state:016x}", {}, "")
            self._answers.append(Did(command.slot, scene, 0, None, 0.0, VIEW, {}, {}, Timing()))
            return
        begun = self._begun[command.slot]
        self._worker.begins(self._key, begun)
        self._ends[command.slot] = time.monotonic() + SHORTEST_S + SPREAD_S * begun.seed / 2**32

    def receive(self, seconds: float) -> Iterator[Heard]:
        if not self._answers and self._ends:
            slot = min(self._ends, key=self._ends.__getitem__)
            # Where every slot plays there is nothing else to do, and no sense in looking at the clock every second.
            wait = self._ends[slot] - time.monotonic()
            time.sleep(wait if len(self._ends) == self._slots else min(wait, seconds))
            if time.monotonic() >= self._ends[slot]:
                self._answers.append(self._ended(slot))
        answers, self._answers = self._answers, []
        for answer in answers:
            yield Heard(0, answer)

    def idle(self) -> bool:
        return True

    def finished(self, slot: int) -> None:
        del self._begun[slot]

    def memory(self) -> int:
        return 0

    def close(self) -> None:
        pass

    def _ended(self, slot: int) -> Did:
        del self._ends[slot]
        begun = self._begun[slot]
        self._worker.ends(self._key, begun)
        last = Step(succeeds(begun.seed), True, 0.0, 1.0)
        return Did(slot, None, STEPS, last, 0.0, None, {}, {}, Timing())


class Still:
    """A policy that holds still."""

    batch, past_steps = 4, 0
    clock = staticmethod(time.thread_time)

    def infer(self, requests: Any) -> list[Any]:
        return [np.zeros((STEPS, 7), np.float32) for _ in requests]

    def trial(self, request: object, rows: int) -> float:
        return 0.0


def succeeds(seed: int) -> bool:
    """How the episode with a simulator's seed ends."""
    return seed % 3 > 0


class Worker:
    """A machine that helps with the study, once."""

    def __init__(self, world: World, number: int) -> None:
        self.machine = Machine(f"worker {number}")
        self.world = world
        self.order = random.Random(f"{world.plan.seed} {number}")
        self._playing = 0
        self._idle_since = 0.0
        self.played = 0
        self.ended = False

    def work(self) -> None:
        """``wm join``, without its planning and the process of a stage."""
        self._idle_since = time.monotonic()
        turns = Turns(TREE, self.world.graph, self.order)
        while request := turns.next():
            execute(TREE, request, self._roll_out, cores=1, stream=io.StringIO(), shared=True)
            link_stage(TREE, STUDY, self.world.names[request.key], "rollout", request.key)
            self.world.sealed(request)
            turns.sealed(request)
        self._was_idle()
        self.ended = True

    def begins(self, key: str, begun: Begin) -> None:
        if not self._playing:
            self._was_idle()
        self._playing += 1
        self.world.begins(key, begun)

    def ends(self, key: str, begun: Begin) -> None:
        self._playing -= 1
        self._idle_since = time.monotonic()
        self.played += 1
        self.world.ends(key, begun)

    def _roll_out(self, spec: RolloutSpec, context: StageContext) -> Facts:
        """The stage's own way (``rollout.stage.run``), with players in place of a policy and simulators."""
        plan = self.world.plan
        time.sleep(plan.load_s)
        with closing(Ledger(context.work / "records", episodes_of(spec))) as ledger:
            scheduler = Scheduler(toy_cell(spec), ledger, Still(), None, context.progress, plan.slots)
            scheduler.run(Players(self, context.key, plan.slots))  # type: ignore[arg-type]
            context.begin_sealing()
            ledger.publish(context.artifact / "records.jsonl", context.volatile / "timing.jsonl")
        return {"episodes": len(ledger.done)}

    def _was_idle(self) -> None:
        """While there were episodes that nobody had begun, and this machine ran."""
        start = max(self._idle_since, self.machine.frozen_until)
        idle = min(time.monotonic(), self.world.all_begun) - start
        found = self.world.found.idle_s
        found[self.machine.name] = max(found.get(self.machine.name, 0.0), idle)


class World:
    """The study's folder, its workers and what is seen of them."""

    def __init__(self, plan: Plan, told: Callable[[float, float], None] = lambda done, hours: None) -> None:
        self.plan, self.found, self._told = plan, Found(plan), told
        self.clock = Clock(limit=PATIENCE_S + 20 * plan.expected_s)
        self.server = Server(
            self.clock,
            latency_s=plan.latency_s,
            stale_s=plan.stale_s,
            most_per_s=plan.most_per_s,
            seed=plan.seed,
        )
        self.graph, self.names = study_of(plan)
        self._not_begun = {
            (request.key, episode) for request in self.graph.of("rollout") for episode in episodes_of(_spec(request))
        }
        self.all_begun = float("inf")  # when the last episode was
        self.harmed = 0  # times that a worker was frozen or not heard
        self._workers = [Worker(self, number) for number in range(plan.workers)]

    def run(self) -> Found:
        """Until nobody does anything any more."""
        rng = random.Random(self.plan.seed)
        self._make_checkpoints()
        with mounted(self.server, self.plan.seed):
            for worker in self._workers:
                self.clock.start(worker.work, worker.machine, rng.uniform(0, self.plan.start_s))
                self._fate(worker, rng)
            self.clock.run()
            self.clock.close()
        self._count()
        return self.found

    def begins(self, key: str, begun: Begin) -> None:
        self._not_begun.discard((key, _episode(begun, key, self)))
        if not self._not_begun and self.all_begun == float("inf"):
            self.all_begun = self.clock.now

    def ends(self, key: str, begun: Begin) -> None:
        self.found.played[key, _episode(begun, key, self)] += 1
        seconds = SHORTEST_S + SPREAD_S * begun.seed / 2**32
        self.found.busy_s += max(0.0, seconds - max(0.0, self.clock.now - self.all_begun))

    def sealed(self, request: StageRequest) -> None:
        """Count a stage's records, once, and let go of them."""
        path = TREE / "rollout" / request.key / "artifact"
        node = self.server.folders[str(path)]["records.jsonl"]
        assert node.data is not None
        lines = node.data.decode().splitlines()
        if not lines:
            return
        node.data = bytearray()
        for record in map(from_line, lines):
            self.found.published[request.key, record.episode] += 1
            seed = environment_seed(SUITE.name, record.episode)
            self.found.wrong += record.success != succeeds(seed)
        self.found.hours = self.clock.now / 3600
        self._told(len(self.found.published) / self.plan.episodes, self.found.hours)

    def _fate(self, worker: Worker, rng: random.Random) -> None:
        plan, machine, keeper = self.plan, worker.machine, Machine("fate")

        def gone() -> None:
            machine.gone = True
            self.clock.sleep(LOST_LOCKS_S)
            self.server.forget(machine)

        def freeze() -> None:
            machine.frozen_until = self.clock.now + rng.uniform(150, 900)

        def deafen() -> None:
            machine.deaf_until = self.clock.now + rng.uniform(60, 600)

        def often(per_h: float, happens: Callable[[], None]) -> None:
            while True:
                self.clock.sleep(3600 * rng.expovariate(per_h))
                if worker.ended or machine.gone:
                    return
                happens()
                self.harmed += 1

        if rng.random() < plan.die and worker is not self._workers[0]:
            self.clock.start(gone, keeper, rng.uniform(0.05, 0.95) * plan.expected_s)
        for per_h, happens in ((plan.freeze_per_h, freeze), (plan.deaf_per_h, deafen)):
            if per_h:
                self.clock.start(partial(often, per_h, happens), keeper)

    def _make_checkpoints(self) -> None:
        """The sealed trainings that the rollouts read."""
        for key in {each.key for request in self.graph.of("rollout") for each in request.inputs}:
            done = DoneFile(
                stage="train",
                key=key,
                version=1,
                label="train",
                spec={},
                address={},
                upstream=(),
                software={},
                files={},
                content_digest=content_digest({}),
                facts={},
                versions={},
                source_digest="",
            )
            self.server.put(f"{TREE}/train/{key}/DONE.json", done.model_dump_json().encode())

    def _count(self) -> None:
        found = self.found
        lived = [worker for worker in self._workers if not worker.machine.gone]
        assert all(worker.ended for worker in lived), "a worker waits for ever"
        found.shares = {worker.machine.name: worker.played for worker in lived}
        found.had_s = self.all_begun * self.plan.slots * self.plan.workers
        found.operations = self.server.operations
        found.deaths, found.harmed = len(self._workers) - len(lived), self.harmed
        found.peak_per_s = max(self.server.busy.values()) / BUCKET_S


def study_of(plan: Plan) -> tuple[Graph, dict[str, str]]:
    """The rollouts of a study, ``block`` episodes each, of a checkpoint per 200 stages; and their names by key."""
    graph = Graph(STUDY)
    sim = SIM.model_dump(mode="json")
    names = {}
    for number in range(plan.episodes // plan.block):
        policy, rest = divmod(number, 200)
        task, repeat = rest % TASKS, rest // TASKS
        spec = RolloutSpec(
            family="smolvla",
            sim=SIM,
            task=task,
            memory="disabled",
            init_states=tuple(range(plan.block)),
            repeats=1,
            first_repeat=repeat,
            n_action_steps=STEPS,
            num_steps=2,
            horizon=STEPS,
            batch=4,
        )
        source = Input("checkpoint", "train", f"{policy:016x}")
        address = {"sim": sim, "task": task, "repeat": repeat}
        key = stage_key("rollout", 1, {}, address, [(source.role, source.key)])
        label = f"rollout {policy} task {task} block {repeat}"
        graph.stages[key] = StageRequest("rollout", key, 1, label, spec, address, {}, (source,))
        names[key] = f"rollouts/E0/seed{policy}/task{task}-block-{repeat}"
    return graph, names


def _spec(request: StageRequest) -> RolloutSpec:
    assert isinstance(request.spec, RolloutSpec)
    return request.spec


def _episode(begun: Begin, key: str, world: World) -> Episode:
    assert begun.init_state is not None
    return Episode(begun.task, begun.init_state, _spec(world.graph.stages[key]).first_repeat)
