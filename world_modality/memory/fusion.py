"""Where the memory enters the policy. Each place is a no-op while its gates are closed, and its gates can open."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from world_modality.facts.memory import FUSIONS
from world_modality.memory.action_conditioning import Held
from world_modality.memory.attachment import Sockets, WorldSizes
from world_modality.memory.embedding import GridEmbedding
from world_modality.memory.injector import Injector, Observer, add_exactly, memory_tokens, slot_axes


class Fusion(nn.Module, ABC):
    """One way from the memory into a flow matching model of LeRobot's, by hooks alone."""

    def __init__(self, sizes: WorldSizes, held: Held) -> None:
        super().__init__()
        self.sizes = sizes
        self.held = held

    @abstractmethod
    def attach(self, sockets: Sockets) -> None:
        """Hook onto a policy's model; to be called once."""

    def gates(self) -> Tensor:
        """tanh of every gate, detached, [number of gates]."""
        return torch.stack([gate.detach().tanh() for name, gate in self.named_parameters() if name.endswith("gate")])

    def observe(self, observer: Observer | None) -> None:
        """From now on tell ``observer`` how the memory is read; None ends that."""
        for module in self.modules():
            if isinstance(module, Injector | MemoryAttention):
                module.observer = observer


@contextmanager
def observing(fusion: Fusion) -> Iterator[Observer]:
    """An observer of how the memory is read inside the ``with`` block."""
    observer = Observer()
    fusion.observe(observer)
    try:
        yield observer
    finally:
        fusion.observe(None)


def build_fusion(sizes: WorldSizes, held: Held) -> Fusion:
    """The fusion that ``sizes`` names; UserError if there is none."""
    fusion: Fusion = FUSIONS[sizes.fusion].code.load()(sizes, held)
    return fusion


# Hooks below are bound methods, not closures: deepcopy then hangs the copy's own modules onto the copy's layers.


class Late(Fusion):
    """The expert's last hidden states read the memory, just before the action projection."""

    def __init__(self, sizes: WorldSizes, held: Held) -> None:
        super().__init__(sizes, held)
        self.injector = Injector(sizes, sizes.hidden)

    def attach(self, sockets: Sockets) -> None:
        """Before the readout."""
        sockets.readout.register_forward_pre_hook(self._before)

    def _before(self, _layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self.held.memory is None:
            return None
        return (self.injector(arguments[0], self.held.memory), *arguments[1:])


class Suffix(Fusion):
    """The embedded noisy actions read the memory before they enter the expert."""

    def __init__(self, sizes: WorldSizes, held: Held) -> None:
        super().__init__(sizes, held)
        self.injector = Injector(sizes, sizes.hidden)

    def attach(self, sockets: Sockets) -> None:
        """After the layer whose output is the suffix."""
        sockets.suffix.register_forward_hook(self._after)

    def _after(self, _layer: nn.Module, _arguments: tuple[Any, ...], output: Tensor) -> Tensor | None:
        return None if self.held.memory is None else self.injector(output, self.held.memory)


class LayerInjection(nn.Module):
    """One expert layer's injector: reads with the MLP's input, adds to its output."""

    def __init__(self, sizes: WorldSizes, held: Held) -> None:
        super().__init__()
        self.held = held
        self.injector = Injector(sizes, sizes.hidden)

    def after(self, _layer: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Forward hook of the layer's MLP."""
        if self.held.memory is None:
            return None
        return add_exactly(output, self.injector.residual(arguments[0], self.held.memory))


class Layers(Fusion):
    """Every layer of the action expert reads the memory beside its MLP, each through its own gate."""

    def __init__(self, sizes: WorldSizes, held: Held) -> None:
        super().__init__(sizes, held)
        self.layers = nn.ModuleList(LayerInjection(sizes, held) for _ in range(sizes.layers))

    def attach(self, sockets: Sockets) -> None:
        """After each ``mlp``: LeRobot calls a layer's parts by hand, so hooks on the layer itself never fire."""
        for layer, injection in zip(sockets.layers, self.layers, strict=True):
            layer.mlp.register_forward_hook(injection.after)


class PrefixCross(Fusion):
    """The prefix tokens (pictures, words, state) read the memory before the language model."""

    def __init__(self, sizes: WorldSizes, held: Held) -> None:
        super().__init__(sizes, held)
        self.injector = Injector(sizes, sizes.prefix)

    def attach(self, sockets: Sockets) -> None:
        """Around ``embed_prefix``, which LeRobot looks up on the instance."""
        sockets.flow.embed_prefix = PrefixEmbedding(sockets.flow, self)


class PrefixEmbedding:
    """``embed_prefix`` of a flow matching model, with the memory read into its tokens."""

    def __init__(self, flow: Any, fusion: PrefixCross) -> None:
        self._flow = flow
        self._fusion = fusion

    def __call__(self, *arguments: Any, **keywords: Any) -> tuple[Tensor, Tensor, Tensor]:
        """LeRobot's tokens [B, P, H], padding mask and attention mask; only the tokens are changed."""
        tokens, padding, attention = type(self._flow).embed_prefix(self._flow, *arguments, **keywords)
        memory = self._fusion.held.memory
        return (tokens if memory is None else self._fusion.injector(tokens, memory)), padding, attention


class MemoryAttention(nn.Module):
    """One expert layer's own queries attend to the memory's tokens in a softmax of their own, through a gate.

    Zero-initialised attention (Zhang et al. 2023, LLaMA-Adapter): tokens appended to the prefix would take weight
    from the others even when they say nothing; a softmax of their own behind a gate takes none.
    """

    def __init__(self, sizes: WorldSizes, held: Held) -> None:
        super().__init__()
        self.sizes = sizes
        self.held = held
        self.heads, self.groups, width = sizes.attention
        groups = self.groups
        self.memory_norm = nn.LayerNorm(sizes.latent, bias=False)
        self.key = nn.Linear(sizes.latent, groups * width, bias=False)
        self.value = nn.Linear(sizes.latent, groups * width, bias=False)
        self.slots = GridEmbedding(slot_axes(sizes), groups * width)
        self.gate = nn.Parameter(torch.tensor(float(sizes.gate_init)))
        self.observer: Observer | None = None
        self._query: Tensor | None = None

    def catch(self, _layer: nn.Module, _arguments: tuple[Any, ...], output: Tensor) -> None:
        """Forward hook of the layer's ``q_proj``: keeps the queries [B, L, heads * d]."""
        self._query = None if self.held.memory is None else output

    def before(self, _layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Pre-hook of the layer's ``o_proj``: adds what the queries read to the attention's output."""
        if self.held.memory is None or self._query is None:
            return None
        attended = arguments[0]
        query, self._query = self._query[:, -attended.shape[1] :], None
        return (add_exactly(attended, self._read(query, attended, self.held.memory)), *arguments[1:])

    def _read(self, query: Tensor, attended: Tensor, memory: Tensor) -> Tensor:
        dtype = self.key.weight.dtype
        tokens = self.memory_norm(memory_tokens(memory, self.sizes).to(dtype))
        repeats = self.heads // self.groups
        queries = self._split(query.to(dtype), self.heads)
        keys = self._split(self.key(tokens) + self.slots(), self.groups).repeat_interleave(repeats, 1)
        values = self._split(self.value(tokens), self.groups).repeat_interleave(repeats, 1)
        context = F.scaled_dot_product_attention(queries, keys, values)
        residual = torch.tanh(self.gate) * context.transpose(1, 2).flatten(2)
        if self.observer is not None:
            self.observer.see(queries, keys, attended, residual, self.sizes)
        return residual

    @staticmethod
    def _split(tokens: Tensor, heads: int) -> Tensor:
        """[B, M, heads * d] -> [B, heads, M, d]."""
        batch, length, width = tokens.shape
        return tokens.view(batch, length, heads, width // heads).transpose(1, 2)


class PrefixTokens(Fusion):
    """The memory's slots stand beside the prefix's tokens: every expert layer's own queries attend to them."""

    def __init__(self, sizes: WorldSizes, held: Held) -> None:
        super().__init__(sizes, held)
        self.layers = nn.ModuleList(MemoryAttention(sizes, held) for _ in range(sizes.layers))

    def attach(self, sockets: Sockets) -> None:
        """Between each layer's ``q_proj`` and ``o_proj``."""
        for layer, attention in zip(sockets.layers, self.layers, strict=True):
            layer.self_attn.q_proj.register_forward_hook(attention.catch)
            layer.self_attn.o_proj.register_forward_pre_hook(attention.before)
