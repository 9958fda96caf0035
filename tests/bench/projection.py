"""What a GPU machine would do, from measured parts and counted operations.

``python -m bench.projection`` prints it. A PROJECTION, not a measurement: the simulators' parts were
measured on one core (``docs/figures.md``), the policy's and encoder's operations follow from their published sizes, and
what a GPU makes of them is assumed (``Gpu``).
"""

from __future__ import annotations

from dataclasses import dataclass

TERA = 1e12


@dataclass(frozen=True)
class Tower:
    """A stack of transformer layers: attention with ``inner`` numbers for queries, ``keys`` for keys and for values."""

    layers: int
    width: int
    inner: int
    keys: int
    mlp: int
    matrices: int = 2  # of the MLP; 3 if it is gated

    def flops(self, tokens: int, attended: int | None = None) -> float:
        """Floating point operations of ``tokens`` tokens that attend to ``attended``, by default to themselves.

        Two per multiplication and addition; norms, activations and softmax are left out. Keys and values are made of
        the tokens alone: those of others are cached.
        """
        projected = 2 * self.width * self.inner + 2 * self.width * self.keys + self.matrices * self.width * self.mlp
        weighted = 2 * self.inner * (tokens if attended is None else attended)
        return 2.0 * self.layers * tokens * (projected + weighted)


@dataclass(frozen=True)
class SmolVLA:
    """SmolVLA's published sizes (``lerobot/smolvla_base`` on SmolVLM2-500M)."""

    cameras: int = 2
    picture: int = 512
    patch: int = 16
    shuffle: int = 4  # patches per side that become one token
    words: int = 48
    chunk: int = 50
    steps: int = 10
    vision: Tower = Tower(12, 768, 768, 768, 3072)
    text: Tower = Tower(16, 960, 960, 320, 2560, 3)
    expert: Tower = Tower(16, 720, 960, 320, 2048, 3)  # every second layer attends to the prefix alone

    @property
    def patches(self) -> int:
        """Of one picture."""
        return (self.picture // self.patch) ** 2

    @property
    def prefix(self) -> int:
        """Tokens of pictures, words and state."""
        return self.cameras * self.patches // self.shuffle**2 + self.words + 1

    def flops(self) -> float:
        """Operations of one chunk: pictures and prefix once, the expert at every flow step."""
        connector = 2.0 * self.patches * self.vision.width * self.text.width  # the shuffled patches, side by side
        embedding = 2.0 * self.patches * 3 * self.patch**2 * self.vision.width
        pictures = self.cameras * (self.vision.flops(self.patches) + embedding + connector)
        return pictures + self.text.flops(self.prefix) + self.steps * self.step_flops()

    def step_flops(self) -> float:
        """Operations of one flow step."""
        half = Tower(self.expert.layers // 2, *self._expert_sizes())
        joint = half.flops(self.chunk, self.prefix + self.chunk)
        # A crossing layer makes keys and values of the prefix's cached ones, and none of its own tokens.
        own = 2.0 * half.layers * self.chunk * 2 * self.expert.width * self.expert.keys
        cached = 2.0 * half.layers * self.prefix * 2 * self.expert.keys**2
        return joint + half.flops(self.chunk, self.prefix) - own + cached

    def _expert_sizes(self) -> tuple[int, int, int, int, int]:
        each = self.expert
        return each.width, each.inner, each.keys, each.mlp, each.matrices


@dataclass(frozen=True)
class VideoEncoder:
    """A V-JEPA 2 by its published sizes; the default is ViT-g."""

    tower: Tower = Tower(40, 1408, 1408, 1408, 6144)
    picture: int = 256
    patch: int = 16
    tubelet: int = 2
    frames: int = 4

    def flops(self) -> float:
        """Operations of one clip."""
        tokens = (self.picture // self.patch) ** 2 * (self.frames // self.tubelet)
        embedding = 2.0 * tokens * 3 * self.tubelet * self.patch**2 * self.tower.width
        return self.tower.flops(tokens) + embedding


@dataclass(frozen=True)
class Gpu:
    """What is assumed of a GPU; nothing of it was measured."""

    name: str
    peak: float  # operations per second, dense, in the type that the weights have
    utilisation: float  # share of it that large products reach
    launches: float  # seconds per batch in which it waits for small kernels to be started


# NVIDIA's data sheet of the H200 SXM: 989 TFLOPS in bfloat16, 67 in float32. Utilisation: the 40% that ViT-g is
# reckoned with elsewhere, less for short batches. Launches: about 5,000 kernels of 10 flow steps, 10 us each.
BFLOAT16 = Gpu("H200, bfloat16", 989 * TERA, 0.3, 0.05)
FLOAT32 = Gpu("H200, float32", 67 * TERA, 0.5, 0.05)


@dataclass(frozen=True)
class Episode:
    """A mean episode and what its parts cost one core, measured (``docs/figures.md``, "Parts")."""

    steps: int = 140
    n_action_steps: int = 10
    reset: float = 0.6  # seconds, with settling
    step: float = 0.009
    look: float = 0.054  # both cameras, render fast, OSMesa

    @property
    def chunks(self) -> int:
        """Queries of the policy."""
        return -(-self.steps // self.n_action_steps)

    def simulated(self, workers: int, look: float | None = None) -> float:
        """Episodes per hour of ``workers`` simulator processes, were the policy instant."""
        seconds = self.reset + self.steps * self.step + self.chunks * (self.look if look is None else look)
        return 3600 * workers / seconds


def planned(episode: Episode, gpu: Gpu, batch: int, flops: float) -> float:
    """Episodes per hour of a policy whose look costs ``flops``, in full batches, were the simulators instant."""
    seconds = batch * flops / (gpu.peak * gpu.utilisation) + gpu.launches
    return 3600 * batch / (episode.chunks * seconds)


def lines(workers: int = 16, batches: tuple[int, ...] = (4, 16, 32), context: int = 4) -> list[str]:
    """The projection as a table; ``context`` is the number of clips of a history."""
    episode, policy, clip = Episode(), SmolVLA().flops(), VideoEncoder().flops()
    arms = {"no memory": policy, f"{context} ViT-g clips per look": policy + context * clip}
    osmesa, free = episode.simulated(workers), episode.simulated(workers, 0.0)
    found = [
        "PROJECTION, not measured; see bench/projection.py for what is assumed",
        f"SmolVLA {policy / TERA:.2f} TFLOP a chunk, ViT-g {clip / TERA:.2f} TFLOP a clip; {episode.chunks} looks",
        f"simulators, {workers} processes: {osmesa:,.0f} episodes/h with OSMesa, {free:,.0f} if looks cost nothing",
    ]
    for gpu in (BFLOAT16, FLOAT32):
        for arm, flops in arms.items():
            rates = ", ".join(f"batch {batch}: {planned(episode, gpu, batch, flops):,.0f}" for batch in batches)
            found.append(f"{gpu.name}, {arm}: {rates} episodes/h")
    return found


if __name__ == "__main__":
    print("\n".join(lines()))
