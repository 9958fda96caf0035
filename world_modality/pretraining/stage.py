"""Stage "pretraining": an encoder that learns from footage alone; exact resume after any crash.

What a step draws depends on the seed and its number, so a checkpoint holds weights, the optimiser's state and the
metrics so far, and nothing else.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from world_modality.errors import UserError
from world_modality.pretraining.corpus import Corpus, read_corpus
from world_modality.pretraining.networks import save_encoder
from world_modality.pretraining.objectives import Objective, build_objective
from world_modality.pretraining.specs import FOOTAGE, MODEL, PretrainingSpec
from world_modality.pretraining.spread import effective_rank
from world_modality.store.digests import read_digested, write_digested
from world_modality.store.files import empty_folder, write_atomically, write_json
from world_modality.store.keys import keyed_seed
from world_modality.store.stage import TIMING, Facts, StageContext

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"
SAVE_SECONDS = 60.0
NOTE_STEPS = 50
GRAD_CLIP = 1.0
LAST_LR = 0.01  # of the peak, at the end of the cosine
BETAS = (0.9, 0.98)


def run(spec: PretrainingSpec, context: StageContext) -> Facts:
    """Train from the newest checkpoint to the last step and write the encoder's model folder.

    Raises:
        UserError: the footage has no clip, or the loss is no number any more.
    """
    torch.set_num_threads(spec.threads)
    objective = build_objective(spec)
    training = Training(spec, objective)
    training.restore(context.work / CHECKPOINT)
    if training.step < spec.steps:
        corpus = read_corpus(context.inputs[FOOTAGE], spec.network, context.progress)
        _train(training, corpus, context)
    empty_folder(context.artifact)
    network = objective.trained()
    save_encoder(network, context.artifact / MODEL)
    lines = "".join(json.dumps(line) + "\n" for line in training.metrics)
    write_atomically(context.artifact / METRICS, lines.encode())
    count = sum(parameter.numel() for parameter in network.encoder.parameters())
    return {"parameters": count, "steps": spec.steps, **({"last": training.metrics[-1]} if training.metrics else {})}


class Training:
    """Weights, optimiser and metrics after so many steps."""

    def __init__(self, spec: PretrainingSpec, objective: Objective) -> None:
        self.spec, self.objective = spec, objective
        learned = [each for each in objective.parameters() if each.requires_grad]
        groups = (
            {"params": [each for each in learned if each.ndim > 1], "weight_decay": spec.weight_decay},
            {"params": [each for each in learned if each.ndim <= 1], "weight_decay": 0.0},
        )
        self.optimizer = torch.optim.AdamW(groups, lr=spec.lr, betas=BETAS)
        self.step = 0
        self.metrics: list[dict[str, float]] = []

    def advance(self, corpus: Corpus) -> None:
        """One step; UserError if the loss is no number."""
        spec = self.spec
        rng = np.random.default_rng(keyed_seed("pretraining", spec.seed, self.step))
        rate = learning_rate(self.step, spec)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss, pooled = self.objective.loss(corpus, rng, spec.batch_size)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.objective.parameters(), GRAD_CLIP)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise UserError(f"pretraining: the loss of step {self.step} is no number: lower training.lr")
        self.optimizer.step()
        first, last = spec.momentum
        self.objective.follow(first + (last - first) * self.step / spec.steps)
        self.step += 1
        if self.step % NOTE_STEPS == 0 or self.step == spec.steps:
            self._note(value, float(norm), rate, pooled)

    def _note(self, loss: float, norm: float, rate: float, pooled: Tensor) -> None:
        """A line of metrics: with how far the clips of the batch are apart, since a collapsed encoder has no loss."""
        line = {"step": self.step, "loss": loss, "grad_norm": norm, "lr": rate}
        line["spread"] = float(pooled.std(dim=0).mean())
        line["effective_rank"] = effective_rank(pooled.double().numpy())
        self.metrics.append({name: round(value, 6) for name, value in line.items()})

    def save(self, path: Path) -> None:
        """Write a checkpoint, or leave the one before."""
        buffer = io.BytesIO()
        state = {"objective": self.objective.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save({**state, "step": self.step, "metrics": self.metrics}, buffer)
        write_digested(path, buffer.getvalue())

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one that is as it was written."""
        data = read_digested(path)
        if data is not None:
            state: Mapping[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
            self.objective.load_state_dict(state["objective"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.metrics = state["step"], state["metrics"]


def learning_rate(step: int, spec: PretrainingSpec) -> float:
    """Rising from 0 over the warm-up, then falling as a cosine."""
    if step < spec.warmup_steps:
        return spec.lr * (step + 1) / spec.warmup_steps
    done = (step - spec.warmup_steps) / max(1, spec.steps - spec.warmup_steps)
    return spec.lr * (LAST_LR + (1 - LAST_LR) * 0.5 * (1 + math.cos(math.pi * done)))


def _train(training: Training, corpus: Corpus, context: StageContext) -> None:
    """Train to the last step, saving now and then."""
    spec = training.spec
    began = saved = time.monotonic()
    first = training.step
    while training.step < spec.steps:
        training.advance(corpus)
        now = time.monotonic()
        told = f"loss {training.metrics[-1]['loss']:.3f}" if training.metrics else ""
        context.progress.update(training.step, spec.steps, "steps", told)
        if now - saved > SAVE_SECONDS:
            training.save(context.work / CHECKPOINT)
            saved = time.monotonic()
    training.save(context.work / CHECKPOINT)
    rate = (training.step - first) * spec.batch_size / (time.monotonic() - began)
    write_json(context.volatile / TIMING, {"clips_per_second": round(rate, 1), "clips": len(corpus.clips)})
