"""Where a study was run last, as `wm resume` finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from world_modality.cli.last_place import Place, last_place, remember_place
from world_modality.cli.profiles import PROFILES, Where, place_of_command
from world_modality.errors import UserError
from world_modality.store.layout import SHARE_VARIABLE


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a profile of its own, whose file has a name that Snakemake alone knows."""
    for folder, file in (("mine", "config.yaml"), ("newer", "config.v8+.yaml")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text("executor: slurm\njobs: 4\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_place_is_remembered(here: Path) -> None:
    assert last_place(here) is None
    place = Where(Path("mine"), share="depot").place
    assert place == Place(str(here / "mine"), "slurm", str(here / "depot"))
    remember_place(here, place)
    assert last_place(here) == place
    remember_place(here, Where(PROFILES / "gpu_node").place)
    assert last_place(here) == Place("gpu_node", "local")
    of_a_part = Place("local", "local", targets=("train:E2", "seed=1"))
    remember_place(here, of_a_part)
    assert last_place(here) == of_a_part


@pytest.mark.parametrize("share", ["s3://ann:hunter22@bucket/study", "s3://bucket/hunter22"])
def test_a_secret_is_not_remembered(here: Path, monkeypatch: pytest.MonkeyPatch, share: str) -> None:
    monkeypatch.setenv("DEPOT_PASSWORD", "hunter22")
    remember_place(here, Place("local", "local", share))
    assert last_place(here) == Place("local", "local")
    assert not [path for path in here.iterdir() if path.is_file() and "hunter22" in path.read_text()]


@pytest.mark.parametrize(
    ("arguments", "executor", "profile"),
    [
        ([], "local", "local"),
        (["--profile", "mine"], "slurm", "mine"),
        (["--executor", "slurm"], "slurm", "slurm"),
        (["--profile", "mine", "--executor", "local"], "local", "local"),
        (["--profile", "newer"], "slurm", ""),  # a file that is not looked for
        (["--profile", "cluster"], "slurm", ""),  # of the user's or the machine's folder of profiles
        ([], "kubernetes", ""),  # by a variable of the environment
    ],
)
def test_what_snakemake_was_told_is_known_or_asked_for(
    here: Path, arguments: list[str], executor: str, profile: str
) -> None:
    place = place_of_command(["snakemake", *arguments], {SHARE_VARIABLE: "depot"}, executor)
    assert place == Place(str(here / "mine") if profile == "mine" else profile, executor, str(here / "depot"))
    if profile:
        assert place.known_profile() == place.profile
        return
    with pytest.raises(UserError) as caught:
        place.known_profile()
    assert str(caught.value) == (
        f"this study was run last on {executor}, by a profile or options of Snakemake's that `wm` does not know: call "
        "`wm resume --profile FOLDER` with a folder whose config.yaml says them"
    )
