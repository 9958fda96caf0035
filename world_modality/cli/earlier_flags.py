"""Flags of world-memory policies by the names that they had before this plugin, translated before LeRobot parses them.

Each is told in one line, and none is ignored: what has no equal here is refused with what to use instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from world_modality.errors import UserError

PREFIX = "--policy."
RENAME_VARIABLE, RENAME_FLAG = "LEROBOT_WM_RENAME_MAP_JSON", "--rename_map"
DEFAULT_HORIZON = "8"

RENAMED = {
    "context_frames": "world_context",
    "future_offset": "world_prediction_horizon",
    "lambda_world": "world_lambda",
    "delta_prediction": "world_delta",
    "prophet_layers": "world_prophet_layers",
    "prophet_heads": "world_heads",
    "world_inject_num_heads": "world_heads",
}
"""Old name -> name here; the value means the same."""

FUSIONS = {
    "world_inject_suffix_in": "suffix",
    "world_prefix_tokens": "prefix_tokens",
    "world_prefix_cross_attn": "prefix_cross",
}
"""Switches that name a place where the memory enters -> ``world_fusion``."""

PREFIX_ONLY = {"world_prefix_gate_init": "world_gate_init", "world_prefix_num_heads": "world_heads"}

FIXED = {
    "init_from_strict": ("true", "a start policy's weights are always loaded strictly"),
    "log_attn_stats": ("true", "attention figures are always logged"),
    "log_grad_stats": ("true", "gradient norms are always logged"),
    "prophet_dropout": ("0", "the Prophet has no dropout; several predictions come from world_hypotheses"),
}
"""Old name -> the one value that holds here, and why no other does."""

REFUSED = {
    "world_prefix_block": "prefix tokens have a softmax of their own and so no place among the others: drop it",
}
"""Old name -> what to use instead."""

CACHE = {
    "cache_dir": "cache",
    "dataset_repo_id": "HuggingFaceVLA/libero",
    "world_latents_source": "vjepa",
    "latent_suffix": "m4",
    "world_use_first_camera_only": "true",
}
"""Old names by which a training found its latents, and their defaults: a file of them can be taken over."""
ENCODERS = {"vjepa": "facebook/vjepa2-vitg-fpc64-256", "dino": "facebook/dinov2-base"}
"""What made them, by ``world_latents_source``."""
WINDOW = "world_rollout_temporal_window"

NO_PREDICTION = ("zero", "learned", "oracle", "persistence", "random")  # memories that are not the Prophet's


@dataclass(frozen=True)
class Translation:
    """A command line in the present names."""

    arguments: list[str]
    notices: list[str]  # one line per old name
    init_from: str | None  # plain SmolVLA checkpoint to start from, given as init_from_policy_path
    frames: int | None = None  # of the encoder's clips, by an evaluation's flags: those of its checkpoint


def translate(arguments: Sequence[str], *, training: bool) -> Translation:
    """Replace old names of policy flags by present ones; everything else stays as it is, in its order.

    Args:
        arguments: of ``lerobot-train`` or ``lerobot-eval``, without the program's name.
        training: whether it is the former's.

    Raises:
        UserError: an old flag has no equal here, has no such value, or says otherwise than another flag.
    """
    rest, old, present = _split(arguments)
    work = _Translator(old, present, training)
    for name, value in old.items():
        if name in REFUSED:
            raise UserError(f"{PREFIX}{name}: {REFUSED[name]}")
        if name in FIXED:
            work.fixed(name, value)
        if name in RENAMED:
            work.becomes(name, value, RENAMED[name])
    work.latents()
    work.place()
    work.prefix_settings()
    work.predictor()
    work.encoder()
    if "init_from_policy_path" in old and not training:
        raise UserError(f"{PREFIX}init_from_policy_path: an evaluation takes a trained policy: give {PREFIX}path")
    flags = [f"{PREFIX}{name}={value}" for name, value in work.new.items()]
    return Translation([*rest, *flags], work.notices, old.get("init_from_policy_path"), work.frames)


KNOWN = frozenset(
    {*RENAMED, *FUSIONS, *PREFIX_ONLY, *FIXED, *REFUSED, *CACHE, WINDOW}
    | {"enable_world_injection", "enable_world_predictor", "world_vision_model_name", "init_from_policy_path"}
)
"""All old names; those that are the same here (world_gate_init, world_memory_mode_train ...) are none."""


def _split(arguments: Sequence[str]) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """What is not translated, the old policy flags, and the present ones, by name; the last of a name counts."""
    rest: list[str] = []
    old: dict[str, str] = {}
    present: dict[str, str] = {}
    place = 0
    while place < len(arguments):
        taken = 1
        name, equals, value = arguments[place].removeprefix(PREFIX).partition("=")
        if not equals and place + 1 < len(arguments) and not arguments[place + 1].startswith("--"):
            value, taken = arguments[place + 1], 2
        is_policy = arguments[place].startswith(PREFIX)
        if is_policy and name in KNOWN:
            old[name] = value if equals or taken == 2 else "true"
        elif is_policy:
            present[name] = value
            rest += arguments[place : place + taken]
        else:
            taken = 1
            rest.append(arguments[place])
        place += taken
    return rest, old, present


@dataclass
class _Translator:
    old: dict[str, str]
    present: dict[str, str]
    training: bool
    new: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    frames: int | None = None
    _origins: dict[str, str] = field(default_factory=dict)  # new name -> the old one that set it

    def becomes(self, name: str, value: str, new: str, new_value: str | None = None, note: str = "") -> None:
        """Old flag ``name`` is the present flag ``new``."""
        wanted = value if new_value is None else new_value
        known = self.present.get(new, self.new.get(new))
        if known is not None and known.lower() != wanted.lower():
            other = new if new in self.present else self._origins[new]
            raise UserError(
                f"{PREFIX}{name}={value} means {new}={wanted} here, and {PREFIX}{other} says {known}: give one of them"
            )
        self.new[new], self._origins[new] = wanted, name
        self.notices.append(f"{PREFIX}{name}={value} is now {PREFIX}{new}={wanted}{note}")

    def dropped(self, name: str, value: str, why: str) -> None:
        """Old flag ``name`` says what holds anyway."""
        self.notices.append(f"{PREFIX}{name}={value} is dropped: {why}")

    def is_on(self, name: str) -> bool:
        """The value of a switch, false if it is not given; UserError for anything but true and false."""
        value = self.old.get(name, "false").lower()
        if value not in ("true", "false"):
            raise UserError(f"{PREFIX}{name} is true or false, not '{self.old[name]}'")
        return value == "true"

    def fixed(self, name: str, value: str) -> None:
        """A flag that may only say what holds anyway."""
        only, why = FIXED[name]
        if value.lower() != only and not (only == "0" and _is_zero(value)):
            raise UserError(f"{PREFIX}{name}={value}: {why}; drop it")
        self.dropped(name, value, why)

    def latents(self) -> None:
        """Which latents a training reads; an evaluation reads none, and may say how many frames make a clip."""
        given = [name for name in CACHE if name in self.old]
        if given and self.training:
            raise UserError(f"{PREFIX}{given[0]}: {self._import_line()}")
        for name in given:
            self.dropped(name, self.old[name], "an evaluation reads no cached latents, it encodes what it sees")
        suffix = re.search(r"m(\d+)$", self.old.get("latent_suffix", ""))
        window = self.old.get(WINDOW, "0")
        if not window.isdecimal():
            raise UserError(f"{PREFIX}{WINDOW} is a number of frames, not '{window}'")
        if int(window) and self.training:
            raise UserError(
                f"{PREFIX}{WINDOW}={window}: the checkpoint will say itself how many frames its encoder sees, those of "
                f"its latents: drop it, and give {PREFIX}world_latents=FOLDER of clips of {window}"
            )
        if WINDOW in self.old:
            self.dropped(WINDOW, window, "the checkpoint says itself how many frames its encoder sees")
        if not self.training:
            self.frames = int(window) or (int(suffix[1]) if suffix else None)

    def _import_line(self) -> str:
        """What to do instead with the cache that the flags name."""
        cache, dataset, source, suffix = (self.old.get(name, default) for name, default in list(CACHE.items())[:4])
        named = f"{source}_{suffix}" if suffix else source
        frames = re.search(r"m(\d+)$", suffix)
        encoder = self.old.get("world_vision_model_name", ENCODERS.get(source, "ENCODER"))
        return (
            "latents are one folder here, which says itself what made it: take the cache over by `wm latents import "
            f"{cache}/{dataset}/train_world_latents_{named}.fp16.npy --dataset DATASET --encoder {encoder} "
            f"--frames {frames[1] if frames else 1} --output FOLDER`, or encode anew by `wm latents encode`, and give "
            f"{PREFIX}world_latents=FOLDER"
        )

    def place(self) -> None:
        """Where the memory enters, if anywhere."""
        tokens = self.old.get("world_prefix_tokens", "0")
        on = [name for name in FUSIONS if name != "world_prefix_tokens" and self.is_on(name)]
        on += [] if _is_zero(tokens) else ["world_prefix_tokens"]
        if len(on) > 1:
            raise UserError(
                f"{', '.join(PREFIX + name for name in on)}: the memory enters at one place, give one of them"
            )
        for name in FUSIONS:
            if name in self.old and name not in on:
                self.dropped(name, self.old[name], "world_fusion says where the memory enters, late by default")
        injection = "enable_world_injection"
        late_too = injection not in self.old or self.is_on(injection)
        for name in on:
            note = " (there alone: before, the memory also entered late)" if late_too else ""
            if name == "world_prefix_tokens":
                self._need_a_token_per_frame(tokens)
            self.becomes(name, self.old[name], "world_fusion", FUSIONS[name], note)
        if injection not in self.old:
            return
        if on or late_too:
            self.dropped(injection, self.old[injection], "world_fusion says where the memory enters, late by default")
        else:
            mode = "world_memory_mode_train" if self.training else "world_memory_mode_rollout"
            self.becomes(injection, self.old[injection], mode, "aux_only")

    def _need_a_token_per_frame(self, tokens: str) -> None:
        horizon = (
            self.new.get("world_prediction_horizon") or self.present.get("world_prediction_horizon") or DEFAULT_HORIZON
        )
        if tokens != horizon:
            raise UserError(
                f"{PREFIX}world_prefix_tokens={tokens}: there is one token per predicted frame, and "
                f"{PREFIX}world_prediction_horizon is {horizon}: make them equal"
            )

    def prefix_settings(self) -> None:
        """Gate and heads of the memory in the prefix, which are those of the one fusion there is."""
        fusion = self.new.get("world_fusion") or self.present.get("world_fusion") or "late"
        for name, new in PREFIX_ONLY.items():
            if name in self.old and not fusion.startswith("prefix"):
                raise UserError(
                    f"{PREFIX}{name} is about a memory in the prefix, but it enters {fusion}: use {PREFIX}{new}"
                )
            if name in self.old:
                self.becomes(name, self.old[name], new)

    def predictor(self) -> None:
        """Whether there is a Prophet."""
        name = "enable_world_predictor"
        if name not in self.old:
            return
        if self.is_on(name):
            self.dropped(name, self.old[name], "there is a Prophet in every memory mode but disabled")
            return
        asked = "world_memory_mode_train" if self.training else "world_memory_mode_rollout"
        mode = self.new.get(asked) or self.present.get(asked) or "pred"
        if mode not in NO_PREDICTION:
            raise UserError(
                f"{PREFIX}{name}=false: memory mode '{mode}' is made by the Prophet: set {PREFIX}{asked} to one of "
                f"{', '.join(NO_PREDICTION)}, or to disabled for SmolVLA itself"
            )
        if self.training:
            self.becomes(name, self.old[name], "world_lambda", "0")
        else:
            self.dropped(name, self.old[name], f"nothing reads the Prophet in memory mode {mode}")

    def encoder(self) -> None:
        """Which encoder a rollout uses."""
        name = "world_vision_model_name"
        if name not in self.old:
            return
        if not Path(self.old[name]).expanduser().is_dir():
            raise UserError(
                f"{PREFIX}{name}={self.old[name]}: the checkpoint says itself which encoder it needs: download that "
                f"one with `hf download` and give its folder as {PREFIX}world_encoder_path"
            )
        self.becomes(name, self.old[name], "world_encoder_path")


def rename_flag(arguments: Sequence[str], given: str) -> tuple[list[str], str]:
    """A command line with what LEROBOT_WM_RENAME_MAP_JSON says as LeRobot's own flag, and the line that tells it.

    UserError if ``given`` is no JSON object of names, or the command line says otherwise.
    """
    try:
        names = json.loads(given)
    except ValueError:
        names = None
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise UserError(f"{RENAME_VARIABLE} is '{given}', which is no JSON object of names: set it, or unset it")
    flag = f"{RENAME_FLAG}={json.dumps(names)}"
    own = [argument for argument in arguments if argument.partition("=")[0] == RENAME_FLAG]
    if own and own != [flag]:
        raise UserError(f"{RENAME_VARIABLE} and {RENAME_FLAG} are both given: unset the variable, {RENAME_FLAG} holds")
    return [*(argument for argument in arguments if argument not in own), flag], f"{RENAME_VARIABLE} is now {flag}"


def _is_zero(value: str) -> bool:
    try:
        return float(value) == 0
    except ValueError:
        return False
