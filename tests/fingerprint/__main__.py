"""Proves that a refactoring changes no number.

From the repository's root, in a checkout of the parent and in one of the head, on the same machine:
``PYTHONPATH=tests python -m fingerprint --output FILE.json``, then
``PYTHONPATH=tests python -m fingerprint --compare PARENT.json HEAD.json``. `make fingerprint` types this.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("lerobot", "torch", "transformers", "numpy", "mujoco", "robosuite", "hf-libero")
MOST_LINES = 40  # of a kind
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "WANDB_MODE": "disabled",
    "TOKENIZERS_PARALLELISM": "false",
}


def main() -> int:
    """The exit status: 0, 1 for differences, 2 for what cannot be made or compared."""
    parser = argparse.ArgumentParser(prog="python -m fingerprint", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output", type=Path, metavar="FILE.json", help="fingerprint this revision")
    what.add_argument("--compare", type=Path, nargs=2, metavar=("PARENT.json", "HEAD.json"))
    parser.add_argument("--quick", action="store_true", help="three arms, an episode each, and the verdict")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="a new folder for the results, which then stay")
    parser.add_argument("--all", action="store_true", help=f"every difference, not {MOST_LINES} of a kind")
    given = parser.parse_args()
    if given.compare:
        return compare(*given.compare, most=sys.maxsize if given.all else MOST_LINES)
    if given.keep and given.keep.exists():
        parser.error(f"--keep: {given.keep} is there already; results are only comparable if they start from nothing")
    os.environ.update(SETTINGS)  # before anything is imported that reads them
    with ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fingerprint-")))
        folder.mkdir(parents=True, exist_ok=not given.keep)
        try:
            write(given.output, folder.resolve(), quick=given.quick)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 2
    return 0


def write(output: Path, folder: Path, *, quick: bool) -> None:
    """Run the studies in ``folder`` and write their fingerprint to ``output``."""
    from .adapter import make
    from .measure import fingerprint

    begun, last = time.monotonic(), 0.0

    def tell(label: str) -> None:
        nonlocal last
        now = _processor_seconds()
        print(
            f"{time.monotonic() - begun:6.0f} s  {label}, {now - last:.1f} s of processor", file=sys.stderr, flush=True
        )
        last = now

    found = fingerprint(make(folder, tell, quick=quick))
    content = {
        "revision": _revision(),
        "quick": quick,
        "made_on": _made_on(),
        "seconds": {"wall": round(time.monotonic() - begun), "processor": round(_processor_seconds())},
        "fingerprint": dict(sorted(found.items())),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    print(f"{output}: {len(found)} names, {content['seconds']}", file=sys.stderr)


def compare(parent: Path, head: Path, *, most: int) -> int:
    """Print what differs; the exit status."""
    from .compare import circumstances, differences

    old, new = (json.loads(path.read_text()) for path in (parent, head))
    if old["quick"] != new["quick"]:
        print("one of them is quick and the other is not: make both alike", file=sys.stderr)
        return 2
    print(f"{old['revision']} -> {new['revision']}")
    for line in circumstances(old["made_on"], new["made_on"]):
        print(line)
    found = differences(old["fingerprint"], new["fingerprint"])
    for kind, lines in found.items():
        print(f"\n{kind}: {len(lines)}")
        print("\n".join(f"  {line}" for line in lines[:most]))
        if len(lines) > most:
            print(f"  and {len(lines) - most} more, see --all")
    if not found:
        print(f"equal in all {len(new['fingerprint'])} names")
    return int(bool(found))


def _revision() -> str:
    """The commit of this checkout, with a ``+`` if it was changed."""
    git = ("git", "-C", str(Path(__file__).parent))
    commit = subprocess.run((*git, "rev-parse", "--short=12", "HEAD"), capture_output=True, text=True, check=False)
    changed = subprocess.run((*git, "status", "--porcelain"), capture_output=True, text=True, check=False)
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _made_on() -> Mapping[str, Any]:
    """What decides how numbers are rounded."""
    import torch

    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": cpu[0].partition(":")[2].strip() if cpu else platform.processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def _processor_seconds() -> float:
    """Of this process and of all that it started, as far as they still run or were waited for."""
    import psutil

    here = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in (here, *here.children(recursive=True)))


if __name__ == "__main__":
    sys.exit(main())
