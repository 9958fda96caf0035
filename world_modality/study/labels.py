"""How reports name a study's parts: which were real, and which made for a small study."""

from __future__ import annotations

from world_modality.facts.benchmarks import SUITES
from world_modality.study.sources import Assets, Sources
from world_modality.study.study import Study


def suite_label(study: Study, sources: Sources) -> str:
    """The suites as tables name them; numbers on anything but a suite's own assets are marked."""
    marks = {suite: assets_mark(sources.assets[suite]) for suite in study.rollout_suites}
    if len(set(marks.values())) == 1:
        return f"{' '.join(marks)}{next(iter(marks.values()))}"
    return ", ".join(f"{suite}{mark}" for suite, mark in marks.items())


def assets_mark(assets: Assets) -> str:
    """What is said behind a suite's name: nothing of the benchmark's own assets, the digest of any others."""
    return "" if assets.own else f" (assets {assets.digest})"


def parts_of(study: Study, sources: Sources) -> tuple[tuple[str, str], ...]:
    """What was embedded and what was real; folders by their content, wherever they lie."""
    parts: list[tuple[str, str]] = []
    for suite, assets in sources.assets.items():
        if assets.source:
            word = assets.source.partition("@")[0]
            source = word if word in SUITES[suite].assets else "folder"
            parts.append(("simulator assets", _part(source, "", assets.digest)))
    if study.data is not None and sources.dataset is not None:
        parts.append(("data", _part(study.data.source, sources.dataset.name, sources.dataset.revision)))
    for policy in study.policies:
        found = sources.policies[policy]
        parts.append(("policy", _part(policy.source, found.name, found.revision)))
        if found.backbone:
            parts.append(("policy's backbone", f"hub {found.backbone}"))
    for name, arm in study.given.items():
        for checkpoint, given in zip(arm.checkpoint, sources.checkpoints[name], strict=True):
            parts.append((f"checkpoint {name}", _part(checkpoint.source, given.policy.name, given.policy.revision)))
    for encoder in study.encoders:
        made = sources.encoders[encoder]
        parts.append(("encoder", _part(encoder.source, made.name, made.revision)))
    if study.instructions is not None and sources.instructions is not None:
        text = sources.instructions
        parts.append(("language model", _part(study.instructions.source, text.name, text.revision)))
    return tuple(dict.fromkeys(parts))


def _part(source: str, name: str, revision: str) -> str:
    """``hub lerobot/smolvla_base main``, ``embedded smolvla-tiny 0123...``, ``folder 0123...``, ``scripted``."""
    shown = "" if source in ("folder", "scripted") else name
    return " ".join(part for part in (source, shown, revision) if part)
