"""Do stock ``lerobot-eval`` and ``wm rollout`` agree? ``python -m bench.bench_parity``.

Both play the same episodes of one checkpoint, LeRobot's own: its initial states, its seeds, one environment, its
pictures; where the policy draws noise, both have ours. An ACT that stock ``lerobot-train`` makes of the demo's dataset,
and the packaged SmolVLA. With ``--environment libero_world``, ``lerobot-eval`` simulates with ours, as the plugin
brings it. A line per episode, and one per policy for programs. Status 1 if an episode differs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from support.onlookers import PLUGIN_TYPE
from support.parity import OURS, STOCK, Match, evaluated_seconds, known_to_lerobot, last_line, pairs, table

from world_modality.benchmarks.libero.libero_config import ASSETS_VARIABLE
from world_modality.embedded import BASE_POLICY
from world_modality.errors import UserError
from world_modality.store.layout import RESULTS, names_folder
from world_modality.store.machine import machine, versions
from world_modality.study.load import load_study

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "WANDB_MODE": "disabled",
    "TOKENIZERS_PARALLELISM": "false",
}
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # as ours has always: sums over more threads are rounded otherwise
TRAIN = "from lerobot.scripts.lerobot_train import main; main()"


def started(command: list[str], variables: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A command whose output goes to a file."""
    with log.open("w") as file:
        return subprocess.Popen([sys.executable, *command], stdout=file, stderr=file, env={**os.environ, **variables})


def ended(process: subprocess.Popen[bytes], log: Path) -> None:
    """UserError if a command fails."""
    if process.wait():
        raise UserError(f"a command ended with status {process.returncode}: {log} has what it said")


def trained_act(dataset: Path, steps: int, folder: Path) -> Path:
    """An ACT of a few steps of stock ``lerobot-train``, made once."""
    checkpoint = folder / "act" / "checkpoints" / "last" / "pretrained_model"
    if checkpoint.is_dir():
        return checkpoint
    if not dataset.is_dir():
        raise UserError(f"{dataset} is missing: make the demo's dataset first, with `snakemake --cores N data`")
    shutil.rmtree(folder / "act", ignore_errors=True)
    flags = {
        "policy.type": "act",
        "policy.device": "cpu",
        "policy.push_to_hub": "false",
        "policy.pretrained_backbone_weights": "null",  # nothing is downloaded
        "policy.chunk_size": 20,
        "policy.n_action_steps": 10,
        "dataset.repo_id": "local/study",
        "dataset.root": dataset.resolve(),
        "dataset.video_backend": "pyav",
        "dataset.use_imagenet_stats": "false",
        "num_workers": 0,
        "env_eval_freq": 0,
        "batch_size": 2,  # what it learns does not matter
        "steps": steps,
        "save_freq": steps,
        "output_dir": folder / "act",
    }
    print(f"lerobot-train: an ACT of {steps} steps", flush=True)
    log = folder / "act.log"
    ended(started(["-c", TRAIN, *(f"--{name}={value}" for name, value in flags.items())], OFFLINE, log), log)
    return checkpoint


def played(match: Match, folder: Path) -> None:
    """Both evaluators, at once, each in processes of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    running = []
    for name, flags in ((STOCK, match.stock_flags), (OURS, match.our_flags)):
        command = ["-m", "support.onlookers", name, str(folder / f"{name}-notes"), *flags(folder / name)]
        log = folder / f"{name}.log"
        variables = {**OFFLINE, **ONE_THREAD, ASSETS_VARIABLE: match.assets}
        running.append((started(command, variables, log), log))
    try:
        for process, log in running:
            ended(process, log)
    finally:
        for process, _ in running:
            process.kill()


def main() -> None:
    """Play, compare and print."""
    parser = argparse.ArgumentParser(description="Stock lerobot-eval against wm rollout, episode by episode.")
    parser.add_argument("--policies", nargs="+", default=["act", "smolvla"], choices=["act", "smolvla"])
    parser.add_argument("--checkpoint", type=Path, help="another one in their place, as LeRobot alone loads it")
    parser.add_argument("--lerobot", nargs="+", default=[], metavar="NAME=VALUE", help="further flags of lerobot-eval")
    parser.add_argument("--dataset", type=Path, help="that ACT learns from; the study's by default")
    parser.add_argument("--act-steps", type=int, default=6)
    parser.add_argument("--suite", default="libero_spatial")
    parser.add_argument("--task", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--horizon", type=int, help="control steps; the suite's by default")
    parser.add_argument("--environment", default="libero", choices=["libero", PLUGIN_TYPE], help="lerobot-eval's")
    parser.add_argument("--batch", type=int, default=1, help="rows that ours computes at once")
    parser.add_argument("--assets", default="package", help="as in a study")
    parser.add_argument("--folder", type=Path, default=Path("outputs") / "parity")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    about = machine()
    print(f"{about['processor']}, {about['cpus']} cores, load {os.getloadavg()[0]:.1f}, {about['system']}")
    print("  ".join(f"{name} {version}" for name, version in versions(("lerobot", "torch", "mujoco")).items()))
    different = 0
    for policy in ["checkpoint"] if given.checkpoint else given.policies:
        if given.checkpoint:
            checkpoint = given.checkpoint.resolve()
        elif policy == "act":
            dataset = given.dataset or names_folder(RESULTS, load_study(Path("config.yaml")).study.study) / "dataset"
            checkpoint = trained_act(dataset, given.act_steps, folder)
        else:
            shutil.rmtree(folder / policy, ignore_errors=True)
            checkpoint = known_to_lerobot(BASE_POLICY, folder / policy)
        match = Match(
            checkpoint,
            given.suite,
            given.task,
            given.episodes,
            given.seed,
            given.horizon,
            given.assets,
            given.batch,
            tuple(f"--{flag}" for flag in given.lerobot),
            given.environment,
        )
        place = folder / f"{policy}-task{given.task}-{given.environment}"
        played(match, place)
        found = pairs(match, place)
        print(
            f"{policy} on {given.suite} task {given.task}, assets {given.assets}; lerobot-eval "
            f"with {given.environment}, {evaluated_seconds(place):.0f} s; ours in batches of {given.batch}"
        )
        print("\n".join([*table(found), last_line(policy, found)]), flush=True)
        different += sum(not pair.equal for pair in found)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
