"""A hand-made results tree: sealed rollouts and trainings of a small study, without running anything."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from world_modality.evidence.plan import Plan
from world_modality.report.claims import plan_of
from world_modality.rollout.episodes import Episode, environment_seed, flow_seed
from world_modality.rollout.records import Record, to_line
from world_modality.store.done import DoneFile as Sealed
from world_modality.store.done import Run, Source
from world_modality.store.files import write_json
from world_modality.store.layout import StageFolder, sealed_plans_folder
from world_modality.study.specs import EvidenceSpec, ReportArm, ReportCell, ReportCondition, ReportSpec

LANGUAGES = (
    "pick up the black bowl between the plate and the ramekin and place it on the plate",
    "pick up the black bowl next to the ramekin and place it on the plate",
)
CONDITIONS = {  # condition -> arm, memory it was trained with, memory it is rolled out with
    "E0": ("E0", "disabled", "disabled"),
    "E1": ("E1", "zero", "zero"),
    "E2": ("E2", "pred", "pred"),
    "E2-zero": ("E2", "pred", "zero"),
    "E2-random": ("E2", "pred", "random"),
}
CONTROLS = {"E0": "", "E1": "E0", "E2": "E0"}  # arm -> what it is compared with
TRAINED = {arm: trained for arm, trained, _ in CONDITIONS.values()}
OUTCOMES = {  # condition -> per task, one digit per initial state 10..13: 1 is a success
    "E0": ("1101", "0010"),
    "E1": ("1101", "0010"),
    "E2": ("1111", "0110"),
    "E2-zero": ("1101", "0110"),
    "E2-random": ("1001", "0010"),
}
EVIDENCE = EvidenceSpec(
    effect=0.05,
    margin=0.05,
    alpha=0.05,
    confidence=0.95,
    power=0.8,
    looks=(),
    spending="obrien_fleming",
    rate=0.85,
    run_sd=0.02,
    task_sd=0.05,
    disagree_runs=0.255,
    disagree_memories=0.255,
)
READ = {  # how a memory is read, in a training's log
    "world_residual_ratio": 0.03,
    "world_attention_entropy": 0.99,
    "world_attention_evenness": 0.9,
    "world_attention_step_1": 0.5,
    "world_attention_step_2": 0.3,
    "world_attention_step_3": 0.2,
    "world_action_change": 0.04,
    "grad_norm_base": 1.5,
    "grad_norm_world": 0.3,
    "grad_norm_injector": 0.3,
}
SEALED_AT = "2025-12-31T00:00:00+00:00"  # before the rollouts, which were sealed a day later
VERSIONS = {"lerobot": "0.6.1", "torch": "2.11.0"}


def arms(seeds) -> tuple[ReportArm, ...]:
    """The toy's arms, each trained with these seeds."""
    return tuple(
        ReportArm(
            name=arm,
            against=CONTROLS[arm],
            declared=("memory",),
            trainings=tuple(f"train{arm}{seed}" for seed in seeds),
        )
        for arm in CONTROLS
    )


@dataclass
class ToyResults:
    """Change ``outcomes``, ``seeds`` or ``edit`` (called on every record's values), then ``write``."""

    root: Path
    outcomes: dict = field(default_factory=lambda: dict(OUTCOMES))
    seeds: tuple = (0,)
    repeats: int = 1
    suites: tuple = ("libero_spatial",)  # of task 0, 1, ... in turn
    edit: object = None
    evidence: dict = field(default_factory=dict)  # what differs from EVIDENCE
    sealed_at: str = SEALED_AT  # of the plan; "" for one that is not sealed

    def write(self) -> tuple[ReportSpec, list[Path], list[Path]]:
        """(report spec, rollout artifacts, train artifacts); the artifacts in an order of no meaning."""
        cells, rollouts = [], []
        trainings = {
            (arm, seed): self._training(arm, seed)
            for arm in dict.fromkeys(arm for arm, _, _ in CONDITIONS.values())
            for seed in self.seeds
        }
        for condition, (arm, trained, memory) in CONDITIONS.items():
            for seed in self.seeds:
                for task in range(len(LANGUAGES)):
                    records = [
                        self._record(condition, seed, task, state, repeat, f"train{arm}{seed}", trained, memory)
                        for state in range(10, 10 + len(self.outcomes[condition][task]))
                        for repeat in range(self.repeats)
                    ]
                    label = f"rollout {condition}/{seed} task {task}"
                    key = f"key{condition}{seed}{task}".lower()
                    folder = self._seal("rollout", key, label, 30.0, [("checkpoint", "train", f"train{arm}{seed}")])
                    (folder / "records.jsonl").write_text("".join(to_line(record) for record in records))
                    cells.append(
                        ReportCell(condition=condition, seed=seed, suite=self._suite(task), task=task, rollout=key)
                    )
                    rollouts.append(folder)
        spec = ReportSpec(
            study="toy",
            label="libero_spatial (assets aaaaaaaaaaaaaaaa)",
            sources=(("simulator assets", "folder aaaaaaaaaaaaaaaa"), ("policy", "embedded base, <1M parameters>")),
            conditions=tuple(
                ReportCondition(
                    name=name,
                    arm=arm,
                    trained=trained,
                    rolled=rolled,
                    against=arm if name != arm else CONTROLS[arm],
                )
                for name, (arm, trained, rolled) in CONDITIONS.items()
            ),
            arms=arms(self.seeds),
            suites=self.suites,
            init_states=(10, 11, 12, 13),
            repeats=self.repeats,
            evidence=EVIDENCE.model_copy(update=self.evidence),
            cells=tuple(cells),
        )
        if self.sealed_at:
            self.seal_plan(plan_of(spec), self.sealed_at)
        return spec, rollouts[::-1], list(trainings.values())

    def _suite(self, task: int) -> str:
        return self.suites[task % len(self.suites)]

    def seal_plan(self, plan: Plan, sealed_at: str) -> None:
        """Seal a plan at a time of its own."""
        path = sealed_plans_folder(self.root, "toy") / f"{plan.digest}-then.json"
        write_json(path, {"sealed_at": sealed_at, "digest": plan.digest, "plan": json.loads(plan.to_json())})

    def _training(self, arm: str, seed: int) -> Path:
        key = f"train{arm}{seed}"
        self._seal("dataset", "data", "dataset", 600.0, [])
        folder = self._seal("train", key, f"train {arm}/{seed}", 120.0, [("dataset", "dataset", "data")])
        rows = [{"step": step, "flow_loss": 1 / (1 + step / 50) + 0.01 * seed} for step in range(10, 401, 10)]
        if arm != "E0":
            rows = [
                {
                    **row,
                    "world_gate": row["step"] / 4000,
                    **{f"world_cos{name}_{k}": 0.9 / k for name in ("", "_persistence") for k in (1, 2, 3)},
                    **READ,
                }
                for row in rows
            ]
            (folder / "prophet.json").write_text(json.dumps(self.prophet(arm, seed)))
        (folder / "offline.json").write_text(json.dumps(self.offline(arm)))
        arm = {"steps": 400, "seed": seed, "policy": {"world_seed": seed, **self.policy(arm)}}
        (folder / "arm.json").write_text(json.dumps(arm))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    def policy(self, arm: str) -> dict:
        """What a training's arm.json says of the policy."""
        return {"world_memory_mode_train": TRAINED[arm], "world_prophet": "kept"}

    def offline(self, arm: str) -> dict:
        """What a training's offline.json says: of four episodes, with E2's own memory better than with the others."""
        memories = ("disabled",) if arm == "E0" else ("zero", "pred", "oracle", "random")
        losses = {name: 0.2 - place / 100 for place, name in enumerate(memories)} | {"random": 0.21}
        figures = {name: {"flow_loss": losses[name], "action_rmse": 0.5} for name in memories}
        counts, spread = (300, 320, 280, 300), (0.97, 1.0, 1.01, 1.02)
        sums = {
            name: {
                "flow_loss": [losses[name] * by * count for by, count in zip(spread, counts, strict=True)],
                "action_error": [0.25 * 7 * count for count in counts],
                "action_change": [
                    (name != "zero") * 0.02 * by * count for by, count in zip(spread, counts, strict=True)
                ],
            }
            for name in memories
        }
        by_episode = {"episodes": [1, 4, 7, 9], "actions": list(counts), "dimensions": 7, "memories": sums}
        noise = {} if arm == "E0" else {"noise_change": [0.2 * count for count in counts]}
        return {"held_out": True, "frames": 128, "memories": figures, "by_episode": {**by_episode, **noise}}

    def prophet(self, arm: str, seed: int) -> dict:
        """What a training's prophet.json says: E2's beats the best baseline at k = 1 and 2 of 3, E1's nowhere."""
        skills = {
            "prophet": [0.5, 0.4, 0.2] if arm == "E2" else [0.1, 0.1, 0.1],
            "persistence": [0.0, 0.0, 0.0],
            "mean_reversion": [0.1, 0.15, 0.3],
            "velocity": [0.2, -0.1, -0.4],
            "ridge": [0.4, 0.3, 0.25],
        }
        figures = {name: {"skill": skill, "change_cosine": skill, "cosine": skill} for name, skill in skills.items()}
        spread = (-0.02, 0.0, 0.02)  # of the Prophet over the episodes; baselines are the same in each
        single = {
            name: {figure: [[value + by * (name == "prophet") for value in steps] for by in spread] for figure in found}
            for name, found in figures.items()
            for steps in (found["skill"],)
        }
        by_episode = {"episodes": [1, 4, 7], "predictors": single}
        return {
            "held_out": True,
            "episodes": [1, 4, 7],
            "frames": 412,
            "predictors": figures,
            "by_episode": by_episode,
            "nearest": self.nearest(),
        }

    def nearest(self) -> dict:
        """What that says of nearest training frames: moments and tasks are told apart, in latents of rank 11."""
        of = {"true": (0.9, 8), "predicted": (1.4, 7), "present": (2.0, 7), "chance": (3.3, 5)}
        return {
            "step": 3,
            "frames": 30,
            "candidates": 400,
            "rank": {"within_tasks": 11.0, "fewest_frames": 200, "dimensions": 24},
            "by_episode": {
                "episodes": [1, 4, 7],
                "frames": [10, 10, 10],
                "moment_gap": {name: [gap * by for by in (0.9, 1.0, 1.1)] for name, (gap, _) in of.items()},
                "same_task": {name: [float(hits)] * 3 for name, (_, hits) in of.items()},
            },
            "examples": [{"present": 12, "true": 15, "nearest_to_predicted": 40, "nearest_to_true": 41}],
        }

    def _record(self, condition, seed, task, state, repeat, checkpoint, trained, memory) -> Record:
        episode = Episode(task, state, repeat)
        success = self.outcomes[condition][task][state - 10] == "1"
        steps = 100 + state if success else 280
        values = {
            "suite": self._suite(task),
            "assets": "package",
            "assets_digest": "a" * 16,
            "render": "fast",
            "task": task,
            "language": LANGUAGES[task],
            "init_state": state,
            "init_state_digest": f"{state:016x}",
            "settled": {"plate_1": [0.1, 0.2, 0.9, 1.0, 0.0, 0.0, 0.0]},
            "start_fault": "",
            "repeat": repeat,
            "environment_seed": environment_seed(self._suite(task), episode),
            "flow_seed": flow_seed(self._suite(task), episode, 0),
            "checkpoint": checkpoint,
            "trained_memory": trained,
            "memory": memory,
            "success": success,
            "steps": steps,
            "progress": float(success),
            "episode_return": float(success),
            "replans": -(-steps // 10),
            "trajectory_digest": "d" * 16,
            "note": "",
            "device": "cpu",
            "versions": VERSIONS,
        }
        if self.edit is not None:
            self.edit(condition, values)
        return Record(**values)

    def _seal(self, stage, key, label, seconds, upstream) -> Path:
        folder = self.root / stage / key
        (folder / "artifact").mkdir(parents=True, exist_ok=True)
        sealed = Sealed(
            stage=stage,
            key=key,
            version=1,
            label=label,
            spec={},
            address={},
            upstream=tuple(Source(role=role, stage=kind, key=source) for role, kind, source in upstream),
            software={},
            files={},
            content_digest="",
            facts={},
            versions=VERSIONS,
            source_digest="0" * 16,
        )
        run = Run(sealed_at="2026-01-01T00:00:00+00:00", wall_seconds=seconds, attempts=1, machine={})
        write_json(StageFolder(folder).run, run.model_dump(mode="json"))
        (folder / "DONE.json").write_text(sealed.model_dump_json())
        return folder / "artifact"
