# SPDX-License-Identifier: Apache-2.0
"""Stands behind region_loader in its tests: keeps the bitmaps, takes regions, reads their bytes, frees them."""

from collections import deque
from copy import copy

import numpy as np
from cocotb.types import LogicArray

from tests.blocks.region_ring import RegionRing
from verif.shared.structs import Struct, struct

REGION, WRITE = struct("region_t"), struct("bitmap_write_t")
READ, RESPONSE = struct("bitmap_read_t"), struct("bitmap_rsp_t")


def unpacked(layout: Struct, value: LogicArray) -> dict:
    """The fields of a struct whose other fields may be unknown while `valid` is 0."""
    valid = str(value)[-1 - layout.fields["valid"].offset]
    return layout.unpack(value) if valid != "0" else dict.fromkeys(layout.fields, 0)


class RegionSink:
    """Call `drive` before each rising edge and `sample` at it; compares all regions with `expect`.

    `take`, `release` and `answer` are the chances of a cycle that a region is taken, that one whose bytes were read is
    released, and that a read of a bitmap is done and answered a cycle later. Of a region's bytes up to `most` are read.
    """

    def __init__(self, dut, gen: np.random.Generator, ring: RegionRing):
        self.dut, self.gen, self.ring = dut, gen, ring
        self.memory: dict[int, int] = {}  # bits by place of the word
        self.expected: deque[dict] = deque()
        self.undone: deque[dict] = deque()  # taken, their weight address is in use
        # (buffer, bytes to be read, halves that it takes) of regions that are not released
        self.held: deque[tuple[int, list, int]] = deque()
        self.due: tuple[int, int, int] | None = None  # buffer, offset and byte that was read
        self.answer: int | None = None  # bits that were read in the cycle before
        self.taken = self.fills = 0

    @property
    def busy(self) -> bool:
        """Whether regions are still to come, to be read or to be released."""
        return bool(self.expected or self.undone or self.held)

    def drive(self, take: float, release: float, answer: float = 0.5) -> None:
        """Inputs of the coming rising edge."""
        dut, gen = self.dut, self.gen
        dut.region_ready_i.value = int(gen.random() < take)
        self.done = bool(self.undone) and gen.random() < take
        dut.region_done_i.value = int(self.done)
        bits = int(gen.integers(2**63)) if self.answer is None else self.answer
        dut.bitmap_rsp_i.value = RESPONSE.pack({"valid": int(self.answer is not None), "bits": bits})
        self.reads = self.answer is None and gen.random() < answer
        readable = [(buffer, left) for buffer, left, _ in self.held if left]
        self.next_due = None
        dut.byte_read_i.value = int(bool(readable))
        if readable:
            buffer, left = readable[int(gen.integers(len(readable)))]
            offset, value = left.pop()
            self.next_due = buffer, offset, value
            dut.byte_buf_i.value, dut.byte_off_i.value = buffer, offset
        # The last read may be in the cycle of the release.
        self.release = bool(self.held) and not self.held[0][1] and gen.random() < release
        dut.release_i.value = self.held[0][2] if self.release else 0

    def sample(self, most: int = 512) -> None:
        """What happens at this rising edge; call it before the outputs change."""
        dut = self.dut
        if self.due:
            buffer, offset, value = self.due
            assert dut.byte_o.value == value, (
                f"buffer {buffer}, offset {offset}: found {dut.byte_o.value}, expected {value}"
            )
        self.due = self.next_due
        write, read = unpacked(WRITE, dut.bitmap_write_o.value), unpacked(READ, dut.bitmap_read_o.value)
        self.answer = None
        if read["valid"] and self.reads:
            place = self.ring.place(read["buffer"], read["word"])
            assert not write["valid"] or self.ring.place(write["buffer"], write["word"]) != place
            self.answer = self.memory[place]
            self.fills += 1
        if self.undone:
            assert dut.region_wgt_addr_o.value == self.undone[0]["wgt_addr"]
        if self.done:
            self.undone.popleft()
        if self.release:
            self.held.popleft()
        if dut.region_valid_o.value:
            assert self.expected, "a region that no unit has"
            self._compare(self.expected[0])
            if dut.region_ready_i.value:
                region = self.expected.popleft()
                self.taken += 1
                self.undone.append(region)
                if not region["empty"]:
                    offsets = list(region["bytes"].items())
                    order = self.gen.permutation(len(offsets))[:most]
                    buffer, halves = self.ring.take(region["half"])
                    assert halves + sum(held for _, _, held in self.held) <= self.ring.halves, "no room for a region"
                    self.held.append((buffer, [offsets[i] for i in order], halves))
        if write["valid"]:
            self.memory[self.ring.place(write["buffer"], write["word"])] = write["bits"]

    def _compare(self, want: dict) -> None:
        found = REGION.unpack(self.dut.region_o.value)
        wrong = {k: (found[k], want[k]) for k in ("empty", "last_of_unit", "shape", "ctx") if found[k] != want[k]}
        assert not wrong, f"(found, expected): {wrong}"
        if not want["empty"]:
            words = [word for word in range(8) if found["words"] >> word & 1]
            buffer, _ = copy(self.ring).take(want["half"])
            bitmap = sum(self.memory[self.ring.place(buffer, word)] << 64 * word for word in words)
            assert bitmap == sum(1 << offset for offset in want["bytes"])
