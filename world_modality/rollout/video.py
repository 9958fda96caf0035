"""A recorded episode as a video: rolled out once more, to the last bit, and recorded on video at every control step."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from world_modality.benchmarks.contract import Picture, Simulator, Step, open_assets, open_simulator
from world_modality.errors import UserError
from world_modality.policies.contract import WatchedPolicy
from world_modality.rollout.ahead import LookAhead, looks_ahead, requests_of
from world_modality.rollout.cell import Cell
from world_modality.rollout.records import Record
from world_modality.rollout.trajectory import History, Trajectory
from world_modality.rollout.worker import Clock, act, begin, look_ahead
from world_modality.store.files import write_atomically

CAPTION_HEIGHT = 44  # pixels, even
CODEC = "libx264"


def video_name(record: Record) -> str:
    """The file name of an episode's video."""
    return f"task{record.task}_init{record.init_state}_repeat{record.repeat}.mp4"


def record_video(
    record: Record, cell: Cell, policy: WatchedPolicy, new_history: Callable[[], History] | None, folder: Path
) -> Path:
    """Record the episode of ``record`` into ``folder`` unless that was done before; the path of the video, H.264.

    All cameras side by side, a caption below. The episode is rolled out again, to the last bit.

    Raises:
        UserError: it took another trajectory than the recorded one, as it may on another machine or with other
        software.
    """
    path = folder / video_name(record)
    if path.is_file():
        return path
    trajectory = Trajectory(
        slot=0,
        episode=record.episode,
        environment_seed=cell.environment_seed(record.episode),
        suite=cell.suite,
        n_action_steps=cell.n_action_steps,
        horizon=cell.horizon,
        past_steps=policy.past_steps,
        history=new_history() if new_history else None,
        started=time.monotonic(),
    )
    with closing(open_simulator(cell.sim, record.task, open_assets(cell.sim))) as simulator:
        about = f"{record.suite} task {record.task}  init {record.init_state}  repeat {record.repeat}"
        outcome = "success" if record.success else "failure"
        title = f"{about}  memory {record.memory}  {outcome}"
        video = _encoded(_frames(trajectory, simulator, policy, title), cell.suite.control_rate)
    _require_same_trajectory(record, trajectory)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, video)
    return path


def _require_same_trajectory(record: Record, trajectory: Trajectory) -> None:
    if trajectory.digest.hexdigest()[:16] != record.trajectory_digest:
        remedy = "record its video on the machine and with the software that recorded it"
        if record.flow_seed is None:
            remedy = "its policy draws its own noise, so that none may come again"
        raise UserError(
            f"task {record.task}, init state {record.init_state}, repeat {record.repeat} took another trajectory than "
            f"the recorded one (now success {trajectory.success} after {trajectory.step} steps, then {record.success} "
            f"after {record.steps}): {remedy}"
        )


def _frames(trajectory: Trajectory, simulator: Simulator, policy: WatchedPolicy, title: str) -> Iterator[Picture]:
    """What there is to see, control step by control step; below, how the memory was read for the chunk."""
    trajectory.advance(begin(simulator, trajectory.begin(), Clock()))
    while not trajectory.over:
        futures = [_foreseen(trajectory, simulator, policy)] if looks_ahead(trajectory) else []
        chunk, figures = policy.infer_watched(requests_of([trajectory], futures=futures)[0])
        command = trajectory.act(chunk)
        watching = _EpisodeVideos(simulator, [])
        start = trajectory.step
        trajectory.advance(act(watching, command))
        read = "  ".join(
            f"{name.removeprefix('world_').replace('_', ' ')} {value:.3f}" for name, value in figures.items()
        )
        for offset, images in enumerate(watching.images, 1):
            yield _picture(images, (title, f"step {start + offset}  {read}"))


def _foreseen(trajectory: Trajectory, simulator: Simulator, policy: WatchedPolicy) -> NDArray[np.float32]:
    """What comes from here, as the memory is told of it; none of it is in the picture."""
    look, moments = LookAhead(trajectory), dict[int, Any]()
    while not look.over:
        asked = requests_of([look.trajectory], zero_memory=True) if look.by_policy else []
        chunk = policy.infer(asked)[0] if asked else None
        look.advance(look_ahead(simulator, look.command(chunk), moments))
    return LookAhead.futures([look])[0]


class _EpisodeVideos:
    """A simulator whose every step is rendered, which never changes the physics."""

    def __init__(self, simulator: Simulator, images: list[Mapping[str, Picture]]) -> None:
        self._simulator, self.images = simulator, images

    def __getattr__(self, name: str) -> Any:
        return getattr(self._simulator, name)

    def step(self, action: ArrayLike) -> Step:
        """As the simulator's; keeps every camera's picture."""
        step = self._simulator.step(action)
        self.images.append(self._simulator.observe().images)
        return step


def _picture(images: Mapping[str, Picture], caption: Sequence[str]) -> Picture:
    """Cameras side by side over a dark strip with up to two lines of text."""
    from PIL import Image, ImageDraw

    cameras = np.concatenate(list(images.values()), axis=1)
    height = CAPTION_HEIGHT + cameras.shape[0] % 2  # H.264 halves the colours' resolution, so sizes must be even
    strip = Image.new("RGB", (cameras.shape[1], height), (16, 16, 16))
    pen = ImageDraw.Draw(strip)
    for row, text in enumerate(caption):
        pen.text((8, 5 + 18 * row), text, fill=(235, 235, 235))
    return np.concatenate([cameras, np.asarray(strip)], axis=0)


def _encoded(frames: Iterator[Picture], rate: int) -> bytes:
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as container:
        stream: Any = container.add_stream(CODEC, rate=Fraction(rate))
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(frames):
            if number == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return content.getvalue()
