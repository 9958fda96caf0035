"""`wm check`: open what a study names, let it be judged, and tell what was found before anything is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

import world_modality.benchmarks
import world_modality.checks
from world_modality.checks.finding import Finding
from world_modality.cli.check_data import Checking, check_data, check_demonstrations, check_starts, data_folder
from world_modality.cli.check_models import judge_models
from world_modality.cli.needed import missing_sentence
from world_modality.cli.sources import resolve_sources
from world_modality.data import consistency, description
from world_modality.errors import UserError
from world_modality.facts import benchmarks as suites
from world_modality.store.files import write_atomically, write_json
from world_modality.store.keys import digest_of
from world_modality.store.layout import checks_folder
from world_modality.study.graph import build_graph
from world_modality.study.load import load_study
from world_modality.training import statistics

WIDTH = 8
ASKED = (consistency, description, statistics, suites)
"""Modules of other rooms whose code decides what is found."""


@dataclass(frozen=True)
class Checked:
    """What was found."""

    findings: tuple[Finding, ...]
    unopened: tuple[str, ...]
    """What could not be looked at, and why."""
    checks: int
    """How many checks were made."""

    @property
    def ordered(self) -> tuple[Finding, ...]:
        """All findings, errors first."""
        return tuple(sorted(self.findings, key=lambda finding: finding.level))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that no study should start with."""
        return tuple(finding for finding in self.findings if finding.level == "error")


def check_study(path: Path, root: Path, *, recorded: bool = True) -> Checked:
    """Check a study, or remember what was found in the same one of the same sources.

    Args:
        path: the study.
        root: results tree, where findings are remembered by the digests of what they are about.
        recorded: also look at data that the study itself recorded, if they are sealed.

    Raises:
        UserError: the study is not valid, or planning refuses what it names.
    """
    file = load_study(path)
    sources = resolve_sources(file, root, lenient=True)
    check = Checking(file.study, sources, build_graph(file.study, sources), root)
    data = data_folder(check, recorded)
    remembered = checks_folder(root) / f"{_digest(check, data)}.json"
    found = _read(remembered)
    if found is None:
        check_demonstrations(check)
        check_starts(check)
        if data is not None:
            check_data(check, data)
        found = Checked(tuple(check.findings), tuple(dict.fromkeys(check.unopened)), check.checks)
        if not found.unopened:  # what could not be opened now can be next time
            write_json(remembered, asdict(found))
    judged = list(judge_models(file.study, sources))
    return Checked(
        (*found.findings, *(finding for each, _ in judged for finding in each)),
        (*found.unopened, *(why for _, why in judged if why), *filter(None, [missing_sentence(file, sources, path)])),
        found.checks + sum(not why for _, why in judged),
    )


def check_lines(checked: Checked) -> list[str]:
    """What was found, errors first, a line each; and what it comes to."""
    lines = [f"{each.level:<{WIDTH}} {each.part:<{WIDTH - 1}} {each.where}: {each.message}" for each in checked.ordered]
    lines += [f"{'unseen':<{WIDTH}} {text}" for text in checked.unopened]
    errors, warnings = len(checked.errors), len(checked.findings) - len(checked.errors)
    told = f", with {warnings} warning{'s' * (warnings > 1)}" if warnings else ""
    if checked.checks and not errors:
        fitting = "data, policy, encoder and simulator fit together"
        said = "nothing is wrong in what could be opened" if checked.unopened else fitting
        lines.append(f"check        {said} ({checked.checks} check{'s'[: checked.checks != 1]}){told}")
    return lines


def write_page(checked: Checked, study: str, root: Path) -> Path:
    """The findings as a page that opens offline, with their pictures; where it is."""
    loader = PackageLoader("world_modality", "checks")
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = pages.get_template("page.html.j2").render(study=study, findings=checked.ordered, unopened=checked.unopened)
    file = checks_folder(root) / f"{study}.html"
    write_atomically(file, page.encode())
    return file


def report_fit(path: Path, root: Path) -> int:
    """Print what was found; 1 if there are errors, else 0. UserError as ``check_study``."""
    checked = check_study(path, root)
    print("\n".join(_told(checked, path, root)))
    return 1 if checked.errors else 0


def _told(checked: Checked, path: Path, root: Path) -> list[str]:
    """The lines of what was found, and where the page with its pictures is."""
    lines = check_lines(checked)
    if checked.findings:
        lines.append(f"{'page':<{WIDTH}} {write_page(checked, path.stem, root)}")
    return lines


def require_fit(path: Path, root: Path, tell: Callable[[str], None]) -> None:
    """Check a study before it is run, and tell what was found.

    Raises:
        UserError: there are errors, of which it names the first.
    """
    checked = check_study(path, root, recorded=False)
    for line in _told(checked, path, root):
        tell(line)
    errors = checked.errors
    if errors:
        more = f" ({len(errors)} errors; `wm check {path}` lists them)" if len(errors) > 1 else ""
        raise UserError(f"{path}: {errors[0].part}: {errors[0].where}: {errors[0].message}{more}")


def _digest(check: Checking, data: Path | None) -> str:
    """What the findings hang on: the study, its sources, the stages, whose keys know the versions of the simulators'
    software, the code of checks and simulators, and whether data are there."""
    code = hashlib.sha256()
    benchmarks = Path(world_modality.benchmarks.__file__).parent
    rooms = (
        *(benchmarks.rglob("*.py"), benchmarks.rglob("*.json")),
        *(Path(world_modality.checks.__file__).parent.glob("*.py"), Path(__file__).parent.glob("check*.py")),
    )
    for file in (*sorted(chain(*rooms)), *(Path(str(module.__file__)) for module in ASKED)):
        code.update(file.read_bytes())
    return digest_of(
        {
            "study": repr(check.study),
            "sources": repr(check.sources),
            "stages": sorted(check.graph.stages),
            "code": code.hexdigest(),
            "data": data is not None,
        }
    )


def _read(file: Path) -> Checked | None:
    """Remembered findings; None if there are none that can be read."""
    try:
        value = json.loads(file.read_text())
        findings = tuple(Finding(**each) for each in value["findings"])
        return Checked(findings, tuple(value["unopened"]), int(value["checks"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
