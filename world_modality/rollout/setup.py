"""A policy, its encoder, what its episodes are told of the past, simulators and a ledger put together."""

from __future__ import annotations

import torch

from world_modality.benchmarks.contract import open_assets
from world_modality.benchmarks.graphics import choose_opengl
from world_modality.checks.rename import told_rename
from world_modality.data.hub import ENCODER
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES, Suite
from world_modality.facts.policies import note_of
from world_modality.policies.chunk_policy import ChunkPolicy, TrainingLatents, load_policy
from world_modality.policies.contract import Policy, PolicyFacts, WatchedPolicy
from world_modality.policies.precision import device_named
from world_modality.policies.remote import ServedPolicy
from world_modality.policies.served import read_served
from world_modality.rollout.cell import Cell
from world_modality.rollout.fit import require_chunk, require_fit, require_picture_size
from world_modality.rollout.history import NewHistory, history_maker
from world_modality.rollout.pool import kept_memory, simulator_pool
from world_modality.rollout.records import EXACT, OPENGL, PHYSICS, QUICK, SERVED_SOFTWARE, Ledger
from world_modality.rollout.scheduler import Scheduler
from world_modality.rollout.timing import TimeAccount
from world_modality.rollout.tuning import fitting
from world_modality.store.done import read_done
from world_modality.store.layout import StageFolder
from world_modality.store.machine import COMPUTING, versions
from world_modality.store.memory import free_memory
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.parts import RemotePolicy
from world_modality.study.specs import EncoderSpec, RolloutSpec, ServerSpec, SimSpec, latents_role


def described_device(asked: str = "auto") -> tuple[str, str]:
    """Where the policy computes, for torch and for records: ("cuda", "cuda NVIDIA H100") or ("cpu", "cpu").

    UserError if the machine does not have what is asked for.
    """
    device = device_named(asked, "rollouts.device")
    return device, f"cuda {torch.cuda.get_device_name()}" if device == "cuda" else device


def software(suite: Suite, sim: SimSpec, facts: PolicyFacts) -> dict[str, str]:
    """What else the outcome of an episode may depend on, down to the library that draws the pictures, and what a
    policy's server names."""
    packages = versions((*COMPUTING, *suite.packages))
    served = {f"{SERVED_SOFTWARE}{name}": version for name, version in facts.versions.items()}
    physics = {PHYSICS: EXACT if sim.exact else QUICK} if suite.exact else {}
    return {**packages, **SUITES.distribution(suite.name), OPENGL: choose_opengl(), **physics, **served}


def roll_out(
    cell: Cell,
    ledger: Ledger,
    policy: Policy,
    new_history: NewHistory | None,
    cores: int,
    progress: Progress,
) -> TimeAccount | None:
    """Work until every episode of the ledger has a record; says what took how long, None if nothing was left to do.

    Raises:
        UserError: the assets are not the planned ones, an initial state does not exist, or as ``Scheduler.run``.
    """
    assets = open_assets(cell.sim)  # refuses other assets than planned before any simulator starts
    if len(ledger.done) == len(ledger.episodes):
        return None
    for episode in ledger.episodes:
        cell.suite.recorded(episode.init_state)
    wanted = min(cores, len(ledger.episodes))
    workers = fitting(wanted, free_memory() + kept_memory())
    if workers < wanted:
        progress.say(f"{progress.label}  {workers} of {wanted} simulator processes: there is no memory for more")
    with simulator_pool(cell.sim, assets, workers) as pool:
        account = Scheduler(cell, ledger, policy, new_history, progress).run(pool)
        memory = pool.memory()
    progress.say(f"{progress.label}  {account.summary(cores)}; simulators {memory / 1e9:.1f} GB")
    return account


def prepare(spec: RolloutSpec, context: StageContext) -> tuple[WatchedPolicy, Cell, NewHistory | None]:
    """The policy, what its records have in common, and what makes an episode's window of the encoder, if it reads
    one. The policy is to be closed."""
    # One thread: how many cores a job was given must not decide how its sums are rounded.
    torch.set_num_threads(1)
    suite = SUITES[spec.sim.suite]
    loaded = _load(spec, context, suite) if spec.server is None else _reach(spec, spec.server, context)
    policy, device, new_history = loaded
    facts = policy.facts
    try:
        require_picture_size(facts, spec.sim.camera_size)
        if spec.server is not None:
            require_fit(facts, suite)
            require_chunk(facts, spec.n_action_steps, "n_action_steps")
    except UserError:
        policy.close()
        raise
    cell = Cell(
        suite,
        spec.sim,
        spec.memory,
        spec.n_action_steps,
        spec.horizon,
        context.input_keys["checkpoint"][0],
        facts.trained_memory,
        device,
        software(suite, spec.sim, facts),
        facts.seeded,
        note_of(facts.kind, spec.memory),
    )
    return policy, cell, new_history


Ready = tuple[WatchedPolicy, str, NewHistory | None]
"""A policy, where it computes, and what makes an episode's window of the encoder."""


def _load(spec: RolloutSpec, context: StageContext, suite: Suite) -> Ready:
    device, told = described_device(spec.device)
    policy = load_policy(
        context.one("checkpoint"),
        device,
        spec.memory,
        spec.num_steps,
        spec.n_action_steps,
        spec.batch,
        spec.dtype,
        suite=suite,
        training=_training(context),
    )
    if policy.rename:
        context.progress.say(f"{context.progress.label}  cameras: {told_rename(policy.rename)}")
    return policy, told, _new_history(spec, context, policy, device)


def _training(context: StageContext) -> TrainingLatents | None:
    """What the checkpoint was trained on, where the rollout was planned to read it."""
    if "dataset" not in context.inputs:
        return None
    begins = latents_role("")
    latents = {role.removeprefix(begins): context.one(role) for role in context.inputs if role.startswith(begins)}
    return TrainingLatents(context.one("dataset"), latents)


def _reach(spec: RolloutSpec, server: ServerSpec, context: StageContext) -> Ready:
    """The policy that a server holds; UserError if it is another than was planned."""
    planned = read_served(context.one("checkpoint"))
    assert planned is not None  # that stage writes nothing else for it
    asked = RemotePolicy(
        source="remote",
        address=server.url,
        dialect=planned.dialect,
        rename=tuple(planned.rename.items()),
        name=planned.name,
        revision=planned.revision,
        timeout=server.timeout,
    )
    policy = ServedPolicy(asked, spec.batch, lambda line: context.progress.say(f"{context.progress.label}  {line}"))
    return policy, policy.device, None


def _new_history(spec: RolloutSpec, context: StageContext, policy: ChunkPolicy, device: str) -> NewHistory | None:
    """What makes an episode's window of the sealed encoder; None where no frame is ever encoded."""
    if not getattr(policy.config, "encodes", False):
        return None
    folder = context.one("encoder")
    record = read_done(StageFolder(folder.parent).done)
    if record is None:
        raise UserError(f"{folder.parent} is not a sealed encoder; run the study again, which makes what is missing.")
    known = policy.config.world_encoder_digest
    if known not in ("", ENCODER.digest(folder)):
        raise UserError(
            f"{folder} does not hold the weights of the encoder the checkpoint was trained with; verify it."
        )
    encoder = EncoderSpec.model_validate(record.spec)
    if known and policy.encoder_spec is not None:
        # Weights known by content are the same wherever they were fetched from. What may be run is the study's.
        encoder = policy.encoder_spec.model_copy(update={"torchscript": encoder.torchscript})
    return history_maker(policy.config, spec.memory, encoder, folder, device)
