"""What a LeRobotDataset says of itself: its files below ``meta``, read without LeRobot and without its cache.

So it can be read while a study is planned, from any path, on any file system, and a fault in it has a name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from world_modality.errors import UserError, in_one_line

INFO, TASKS, STATISTICS, EPISODES = "meta/info.json", "meta/tasks.parquet", "meta/stats.json", "meta/episodes"
VERSION = re.compile(r"v?(\d+)\.(\d+)")
PICTURES = ("image", "video")
TASK_INDEX, EPISODE_INDEX = "task_index", "episode_index"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Stretch:
    """Where the pictures of one camera and episode lie in a video file: seconds [start, end)."""

    file: str
    start: float
    end: float


@dataclass(frozen=True)
class Description:
    """A dataset's metadata; paths are relative to ``root``."""

    root: Path
    info: Mapping[str, Any]
    """``meta/info.json``."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Features that a study renames: what the files call them -> what they are called here."""

    @property
    def features(self) -> Mapping[str, Mapping[str, Any]]:
        """Name -> dtype, shape and names."""
        features: Mapping[str, Mapping[str, Any]] = self.info["features"]
        return features

    @property
    def fps(self) -> float:
        """Frames per second, as it says."""
        return float(self.info["fps"])

    @property
    def cameras(self) -> tuple[str, ...]:
        """Columns of pictures."""
        return tuple(name for name, feature in self.features.items() if feature.get("dtype") in PICTURES)

    @property
    def videos(self) -> tuple[str, ...]:
        """Those that are videos."""
        return tuple(name for name in self.cameras if self.features[name]["dtype"] == "video")

    def stored(self, feature: str) -> str:
        """What the files call a feature."""
        return next((theirs for theirs, ours in self.names.items() if ours == feature), feature)

    @cached_property
    def texts(self) -> Mapping[int, str]:
        """The instruction of every task index, from ``meta/tasks.parquet``.

        UserError if the table cannot be read or holds none, or its rows are not in the order of their indices.
        """
        table = self._table(TASKS)
        columns = [name for name in table.column_names if name != TASK_INDEX]
        if TASK_INDEX not in table.column_names or not columns:
            raise UserError(
                f"{self.root / TASKS} has the columns {', '.join(table.column_names)}, not {TASK_INDEX} and the texts: "
                "convert or fetch the dataset again"
            )
        texts = table["task" if "task" in columns else columns[0]].to_pylist()
        numbers = table[TASK_INDEX].to_pylist()
        if numbers != list(range(len(numbers))):
            raise UserError(
                f"{self.root / TASKS} has task indices {', '.join(map(str, numbers[:5]))}..., not 0, 1, 2 and so on in "
                "order: LeRobot takes the text in the row that a frame's task_index counts to, so texts would be "
                "exchanged; sort the rows, or build the dataset again"
            )
        return {int(number): str(text or "") for number, text in zip(numbers, texts, strict=True)}

    @cached_property
    def statistics(self) -> Mapping[str, Mapping[str, Any]]:
        """``meta/stats.json``. UserError if it cannot be read."""
        return {column_under(name, self.names): each for name, each in _object(self.root / STATISTICS).items()}

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The episode table in order, without the episodes' statistics.

        UserError if there is none, or it lacks a column that says where an episode is.
        """
        files = sorted(path.relative_to(self.root).as_posix() for path in tables_below(self.root / EPISODES))
        if not files:
            raise UserError(f"{self.root} has no {EPISODES}/*/*.parquet: the dataset is not complete, fetch it again")
        rows = [row for file in files for row in self._episodes(file).to_pylist()]
        needed = ["dataset_from_index", "dataset_to_index", "data/chunk_index", "data/file_index"]
        needed += [f"videos/{name}/{part}" for name in self.videos for part in ("chunk_index", "file_index")]
        needed += [f"videos/{name}/{part}" for name in self.videos for part in ("from_timestamp", "to_timestamp")]
        for row in rows:
            lacking = [name for name in needed if row.get(name) is None]
            if lacking:
                raise UserError(
                    f"{self.root / EPISODES} has no {lacking[0]} of episode {row.get(EPISODE_INDEX, '?')}: the "
                    "dataset is damaged, fetch or build it again"
                )
        return tuple(sorted(rows, key=lambda row: int(row["dataset_from_index"])))

    def data_file(self, episode: int) -> str:
        """The file that holds an episode's rows."""
        row = self.rows[episode]
        name: str = self.info["data_path"].format(
            chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
        )
        return _require_inside(name, self.root)

    def stretch(self, episode: int, column: str) -> Stretch:
        """Where an episode's pictures of a video column lie."""
        row, of = self.rows[episode], f"videos/{column}"
        file = self.video_file(episode, column, called=self.stored(column))
        return Stretch(file, float(row[f"{of}/from_timestamp"]), float(row[f"{of}/to_timestamp"]))

    def video_file(self, episode: int, column: str, *, called: str) -> str:
        """Where an episode's pictures of a video column lie if files call it ``called``."""
        row, of = self.rows[episode], f"videos/{column}"
        name: str = self.info["video_path"].format(
            video_key=called, chunk_index=row[f"{of}/chunk_index"], file_index=row[f"{of}/file_index"]
        )
        return _require_inside(name, self.root)

    @property
    def files(self) -> tuple[str, ...]:
        """All files of data and videos that the episodes lie in, each once."""
        numbers = range(len(self.rows))
        data = (self.data_file(number) for number in numbers)
        videos = (self.stretch(number, column).file for number in numbers for column in self.videos)
        return tuple(dict.fromkeys((*data, *videos)))

    @property
    def lacking(self) -> tuple[str, ...]:
        """Those of them that are not there."""
        return tuple(file for file in self.files if not (self.root / file).is_file())

    @property
    def told_texts(self) -> tuple[str, ...] | None:
        """Each episode's instruction by the episode table, which no training reads; None if it does not say."""
        if not all(row.get("tasks") for row in self.rows):
            return None
        return tuple(" / ".join(map(str, row["tasks"])) for row in self.rows)

    def episode_texts(self) -> tuple[str, ...]:
        """Each episode's instruction, several with slashes between them.

        They are the texts of the frames' task indices, which a policy learns; before the frames are here, those of the
        episode table.
        """
        if self.lacking and (told := self.told_texts) is not None:
            return told
        columns = self.columns(EPISODE_INDEX, TASK_INDEX)
        found: dict[int, dict[int, None]] = {}
        pairs = np.stack([columns[EPISODE_INDEX], columns[TASK_INDEX]], axis=1).astype(np.int64)
        for episode, task in pairs.tolist():
            found.setdefault(episode, {}).setdefault(task)
        try:
            return tuple(
                " / ".join(self.texts[task] for task in found[int(row.get(EPISODE_INDEX, number))])
                for number, row in enumerate(self.rows)
            )
        except KeyError as error:
            raise UserError(
                f"{self.root / TASKS} has no task or the data no episode {error.args[0]}: the dataset is damaged, "
                "fetch or build it again"
            ) from None

    def names_in(self, file: str) -> tuple[str, ...]:
        """The columns of a data file. UserError if it cannot be read."""
        try:
            return tuple(column_under(name, self.names) for name in pq.read_schema(self.root / file).names)
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"{self.root / file} cannot be read ({in_one_line(error)}): fetch or build it again"
            ) from None

    def columns(self, *names: str) -> dict[str, NDArray[Any]]:
        """These columns of all frames in the files' order, vectors as [N, n].

        UserError if a file or a column is missing, or a row has another number of numbers than the others.
        """
        files = dict.fromkeys(self.data_file(number) for number in range(len(self.rows)))
        parts = [self._table(file, [self.stored(name) for name in names]) for file in files]
        found = {}
        for name in names:
            try:
                found[name] = np.concatenate([_numbers(part[self.stored(name)]) for part in parts])
            except (ValueError, TypeError, pa.ArrowException) as error:
                raise UserError(f"{self.root}: data: {name} is no table of numbers ({error}): build it again") from None
        return found

    def _episodes(self, file: str) -> pa.Table:
        table = self._table(file, statistics=False)
        return table.rename_columns([column_under(name, self.names) for name in table.column_names])

    def _table(self, file: str, columns: list[str] | None = None, *, statistics: bool = True) -> pa.Table:
        path = self.root / file
        try:
            with pq.ParquetFile(path) as opened:
                there = opened.schema_arrow.names
                wanted = columns if statistics else [name for name in there if not name.startswith("stats/")]
                lacking = set(wanted or ()) - set(there)
                if lacking:
                    raise UserError(f"{path} has no column {', '.join(sorted(lacking))}: fetch or build it again")
                return opened.read(columns=wanted)
        except FileNotFoundError:
            raise UserError(f"{self.root} has no {file}: the dataset is not complete, fetch it again") from None
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path} cannot be read ({in_one_line(error)}): fetch or build it again") from None


def read_description(root: Path, shown: str = "") -> Description:
    """The dataset in ``root``, which a message calls ``shown`` if that is given.

    Raises:
        UserError: there is none, or it is of a version that has to be converted, or its description is damaged.
    """
    file = root / INFO
    shown = shown or str(root)
    if not file.is_file():
        raise UserError(f"{shown} is no LeRobotDataset v3 ({INFO} is missing): give a dataset's root folder")
    info = _object(file)
    _require_version(shown, info)
    features = info.get("features")
    if not isinstance(features, dict) or not all(_described(feature) for feature in features.values()):
        raise UserError(f"{shown} is no LeRobotDataset v3: {INFO} has no features with dtype and shape: build it again")
    fps = info.get("fps")
    if not isinstance(fps, int | float) or fps <= 0:
        raise UserError(f"{file}: fps is {fps!r}, not a number of frames per second: build the dataset again")
    video = any(feature["dtype"] == "video" for feature in features.values())
    for key in ("data_path", *(["video_path"] if video else [])):
        if not isinstance(info.get(key), str):
            raise UserError(f"{file}: {key} is {info.get(key)!r}, not a pattern of file names: build the dataset again")
        _require_inside(info[key], root)
    return Description(root, info)


def _require_inside(name: str, root: Path) -> str:
    """A relative path; UserError if it leads out of the dataset."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{root / INFO} leads out of the dataset, to {name}: build the dataset again")
    return name


def _require_version(shown: str, info: Mapping[str, Any]) -> None:
    version = str(info.get("codebase_version", ""))
    found = VERSION.fullmatch(version)
    if found is None or int(found[1]) > 3:
        raise UserError(f"{shown} is no LeRobotDataset v3: {INFO} says codebase_version {version or 'nowhere'}")
    if int(found[1]) < 3:
        folder = Path(shown)
        which = f"local/{folder.name} --root={folder}" if folder.is_absolute() else shown
        convert = f"python -m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id={which}"
        older = "" if found[2] == "1" else ", after LeRobot 0.3's convert_dataset_v20_to_v21 has made v2.1 of it"
        raise UserError(
            f"{shown} is a LeRobotDataset {version}, and v3.0 is read here: convert it with "
            f"`{convert} --push-to-hub=false`{older}"
        )


def _described(feature: object) -> bool:
    return (
        isinstance(feature, dict) and isinstance(feature.get("dtype"), str) and isinstance(feature.get("shape"), list)
    )


def _object(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text())
    except FileNotFoundError:
        root, name = file.parent.parent, file.relative_to(file.parent.parent).as_posix()
        raise UserError(f"{root} has no {name}: the dataset is not complete, fetch or build it again") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({in_one_line(error)}): fetch or build it again") from None
    if not isinstance(value, dict):
        raise UserError(f"{file} is no JSON object: fetch or build it again")
    return value


def column_under(name: str, names: Mapping[str, str]) -> str:
    """A table's column, of a feature or of what is told of one per episode, after features were renamed.

    >>> column_under("videos/front/file_index", {"front": "image"})
    'videos/image/file_index'
    """
    told = re.fullmatch(r"(videos|stats)/(.+)/([^/]+)", name)
    if told is None:
        return names.get(name, name)
    return f"{told[1]}/{names.get(told[2], told[2])}/{told[3]}"


def tables_below(folder: Path) -> Iterator[Path]:
    """The parquet files of a folder's chunks, whatever the folder is called."""
    for chunk in folder.iterdir() if folder.is_dir() else ():
        if chunk.is_dir():
            yield from (path for path in chunk.iterdir() if path.suffix == ".parquet")


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        rows: Sequence[Any] = column.to_pylist()
        if pa.types.is_fixed_size_list(kind):
            chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
            flat = np.concatenate(chunks) if chunks else np.zeros(0)
            if flat.size == len(column) * kind.list_size:  # else rows are null
                return np.asarray(flat.reshape(len(column), kind.list_size))
        widths = {0 if row is None else len(row) for row in rows}
        if len(widths) > 1:
            raise ValueError(f"its rows hold {', '.join(map(str, sorted(widths)))} numbers")
        return np.asarray(rows)
    return np.asarray(column.to_numpy())
