# SPDX-License-Identifier: Apache-2.0
"""What the core's memories hold, as far as the host can know it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.config import Config
from models.descriptor import Descriptor


class UnknownContents(Exception):
    """The stimulus uses memory contents that nothing has defined."""


class MemoryContents:
    """The contents by address; of index entries bitmap and packed bytes of their lines. None: nothing defined it."""

    def __init__(self, config: Config):
        self.vectors = np.zeros((config.WgtBanks * config.WgtDepth, config.NumLanes), np.uint16)
        self.vectors_known = np.zeros(len(self.vectors), bool)
        self.parameters: list[int | None] = [None] * config.ParDepth
        self.bitmaps: list[int | None] = [None] * (config.IdxBanks * config.IdxDepth)
        self.packed: list[bytes] = [b""] * len(self.bitmaps)
        self.program: list[int | None] = [None] * config.PrgDepth

    def size(self, memory: str) -> int:
        """Addresses of "weights", "parameters", "program" or "lines"."""
        sizes = {
            "weights": len(self.vectors),
            "parameters": len(self.parameters),
            "program": len(self.program),
            "lines": len(self.bitmaps),
        }
        return sizes[memory]

    def forget(self, memory: str, base: int, count: int) -> None:
        """Contents become unknown."""
        here = slice(base, base + count)
        if memory == "weights":
            self.vectors_known[here] = False
        elif memory == "parameters":
            self.parameters[here] = [None] * count
        elif memory == "program":
            self.program[here] = [None] * count
        else:
            self.bitmaps[here] = [None] * count

    def lines(self, entries: Sequence[int]) -> tuple[list[int], list[bytes]]:
        """Bitmaps and packed bytes of index entries."""
        found = [self.bitmaps[entry] for entry in entries]
        known = [bitmap for bitmap in found if bitmap is not None]
        if len(known) < len(found):
            raise UnknownContents(f"index entry {entries[found.index(None)]} is read but its contents are unknown")
        return known, [self.packed[entry] for entry in entries]

    def layer_weights(self, d: Descriptor) -> np.ndarray:
        """A layer's weight vectors, uint16 (vectors, L)."""
        here = slice(d.wgt_base, d.wgt_base + d.vectors)
        if not self.vectors_known[here].all():
            raise UnknownContents(f"weight vectors {d.wgt_base} to {d.wgt_base + d.vectors - 1} are not all loaded")
        if d.maximum and (self.vectors[here] & 0xFF > 1).any():
            raise UnknownContents(f"a maximum of weights from {d.wgt_base} on that are neither 0 nor 1")
        return self.vectors[here]

    def layer_parameters(self, d: Descriptor) -> list[int]:
        """A layer's parameters as beats, one for each output channel; none of a layer that keeps its sums."""
        found = [] if d.keep_slot else self.parameters[d.par_base : d.par_base + d.out_k]
        parameters = [beat for beat in found if beat is not None]
        if len(parameters) < len(found):
            raise UnknownContents(f"parameters of channel {found.index(None)} are not loaded")
        return parameters
