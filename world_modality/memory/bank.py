"""The latents of the training episodes, among which mode ``nearest_other`` looks up what came after a frame like this.

Held-out frames are not among them. A checkpoint that was trained in such a mode carries them, at 2 bytes a number.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from world_modality.errors import UserError
from world_modality.latents.windows import EpisodeBounds, Rows, future_rows
from world_modality.memory.lookup import LatentLookup
from world_modality.memory.standardiser import Standardiser

NUMBERS_AT_ONCE = 2**23  # of the bank in float64, 64 MiB; it bounds memory and changes no answer
SLACK = 1e-9  # of the squared lengths: more than what a product in float64 can be off by


class Bank(nn.Module):
    """Buffers ``latents`` float16 [F, P, W], the training frames' in their own units, episode after episode, and the
    bounds int64 [E] of these episodes, ``starts`` and ``ends``, in the dataset's frames.

    Zeros as it is built, for a checkpoint's to be loaded; :meth:`of` fills it.
    """

    latents: Tensor
    starts: Tensor
    ends: Tensor

    def __init__(self, frames: int, episodes: int, tokens: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("latents", torch.zeros(frames, tokens, dim, dtype=torch.float16))
        for name in ("starts", "ends"):
            self.register_buffer(name, torch.zeros(episodes, dtype=torch.int64))

    @classmethod
    def of(cls, lookup: LatentLookup) -> Bank:
        """The frames that ``lookup`` trains on."""
        bounds = lookup.trained
        bank = cls(
            int((bounds.ends - bounds.starts).sum()), len(bounds.starts), lookup.latents.tokens, lookup.latents.dim
        )
        bank.starts.copy_(torch.from_numpy(bounds.starts))
        bank.ends.copy_(torch.from_numpy(bounds.ends))
        for own, start, end in zip(torch.split(bank.latents, bank.lengths), bounds.starts, bounds.ends, strict=True):
            own.copy_(torch.from_numpy(lookup.latents.rows(np.arange(start, end))))
        return bank

    @property
    def lengths(self) -> list[int]:
        """Frames of each episode."""
        lengths: list[int] = (self.ends - self.starts).tolist()
        return lengths

    def episodes_of(self, frames: Rows) -> Tensor:
        """Of the dataset's ``frames`` [B], the place of their episodes among the bank's, int64 [B]; -1 of others."""
        bounds = EpisodeBounds(self.starts.cpu().numpy(), self.ends.cpu().numpy())
        return torch.from_numpy(bounds.find(frames))

    @torch.no_grad()
    def nearest(self, query: Tensor, own: Tensor, standardiser: Standardiser) -> Rows:
        """The row of the latent nearest to each of ``query`` [B, P, W], which is standardised, as int64 [B].

        Distance is Euclidean over all P x W numbers of the standardised latents: each number then counts by how much it
        varies from frame to frame, and unlike an angle it sees how far a frame is from the average one. ``own`` int64
        [B]: the episode that has no say, -1 for none. Of several that are equally near, the first.

        Each row's answer is a function of that row alone: products of matrices, which are rounded otherwise for another
        B, only pick who is compared number by number.

        Raises:
            UserError: a row's own episode is the only one.
        """
        device = torch.device("cpu") if query.device.type == "mps" else query.device  # which knows no float64
        asked = query.to(device, torch.float64).flatten(1)
        lengths = asked.square().sum(1)
        step = max(1, NUMBERS_AT_ONCE // asked.shape[1])
        parts, longest = [], asked.new_zeros(())
        for some in torch.split(self.latents, step):
            known = self._exact(some, standardiser).to(device)
            squares = known.square().sum(1)
            parts.append(lengths[:, None] + squares - 2 * asked @ known.T)
            longest = torch.maximum(longest, squares.amax())
        distances = torch.cat(parts, dim=1)
        episodes = torch.repeat_interleave(torch.tensor(self.lengths)).to(device)
        distances.masked_fill_(episodes == own.to(device)[:, None], torch.inf)
        best = distances.amin(1, keepdim=True)
        if best.isinf().any():
            raise UserError(
                "memory mode 'nearest_other' needs the latents of another episode, but the training has only one"
            )
        near = (distances <= best + SLACK * (lengths[:, None] + longest)).nonzero().cpu()
        counts = torch.bincount(near[:, 0], minlength=len(asked)).tolist()
        return np.array(
            [
                self._first_nearest(one, rows, standardiser)
                for one, rows in zip(asked.cpu(), torch.split(near[:, 1], counts), strict=True)
            ],
            np.int64,
        )

    def _first_nearest(self, asked: Tensor, rows: Tensor, standardiser: Standardiser) -> int:
        """Of ascending ``rows``, the first of the least distance to ``asked`` [P * W]."""
        if len(rows) == 1:
            return int(rows[0])
        known = self._exact(self.latents[rows.to(self.latents.device)], standardiser).cpu().numpy()
        return int(rows[int(np.square(known - asked.numpy()).sum(1).argmin())])

    @staticmethod
    def _exact(latents: Tensor, standardiser: Standardiser) -> Tensor:
        """Latents [n, P, W] in their own units -> standardised float64 [n, P * W]."""
        standardised: Tensor = standardiser(latents)
        standardised = standardised.cpu() if standardised.device.type == "mps" else standardised
        return standardised.double().flatten(1)

    def future(self, rows: Rows, length: int) -> Tensor:
        """The ``length`` latents that came after each of ``rows`` [B], its episode's last one repeated, in their own
        units: float32 [B, length, P, W]."""
        ends = np.cumsum(self.lengths)
        index, _ = future_rows(rows, ends[np.searchsorted(ends, rows, side="right")], length)
        return self.latents[torch.from_numpy(index).to(self.latents.device)].float()
