# SPDX-License-Identifier: Apache-2.0
"""staging_buffer: jobs of one and more units added up in any slot while another one is read; full and take; skewed
reads whose words stay."""

import os

import numpy as np
import pytest
from cocotb.triggers import FallingEdge

from tests.blocks.output_jobs import ROWS, from_flat, skew, to_flat, unskew
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

ROW = struct("drain_row_t")


class Bench:
    """One cycle at a time against a numpy memory; what is not driven is random, so that it must not matter."""

    def __init__(self, dut, gen) -> None:
        self.dut, self.gen = dut, gen
        self.groups, self.stages, self.banks = (int(os.environ[n]) for n in ("NumGroups", "NumStage", "NumBanks"))
        self.memory = np.zeros((self.stages, self.banks, ROWS), np.uint32)
        self.words: np.ndarray | None = None  # read last
        self.last_read: int | None = None  # its slot
        self.full = [False] * self.stages
        self.ended: int | None = None  # slot whose job's last row came in the last cycle
        self.drain: tuple | None = None  # group, slot, add, complete
        self.quiet: int | None = None  # group of the drain until a cycle after it
        self.bits = unskew(np.arange(self.banks), self.banks)

    async def cycle(self, row=None, last: bool = False, read=None, take: int | None = None) -> None:
        """`row`: number and words of the drain's row; `read`: slot and the two row variants."""
        dut, gen = self.dut, self.gen
        data = gen.integers(0, 2**32, (self.groups, self.banks), dtype=np.uint32)
        rows = [0] * self.groups  # those of other groups go elsewhere
        for group in range(self.groups):
            if group not in (self.quiet, self.drain and self.drain[0]):
                rows[group] = int(gen.integers(1 << ROW.width))
        if self.drain:
            group, slot, add, complete = self.drain
            dut.group_i.value, dut.slot_i.value = 1 << group, 1 << slot
            dut.add_i.value, dut.complete_i.value = add, complete
            if row:
                rows[group] = ROW.pack({"valid": 1, "last": last, "row": row[0]})
                data[group] = row[1]
        else:
            dut.group_i.value, dut.slot_i.value = 0, 1 << int(gen.integers(self.stages))
            dut.add_i.value = dut.complete_i.value = 1
        dut.row_i.value = sum(flat << (ROW.width * group) for group, flat in enumerate(rows))
        dut.data_i.value = to_flat(data.reshape(-1))
        slot, variants = read or (None, gen.integers(0, ROWS, 2).tolist())
        dut.read_i.value = 0 if slot is None else 1 << slot
        dut.read_row_i.value = variants[0] | variants[1] << (ROWS.bit_length() - 1)
        dut.take_i.value = 0 if take is None else 1 << take
        await FallingEdge(dut.clk_i)
        if take is not None:
            self.full[take] = False
        if self.ended is not None:
            self.full[self.ended] = True
        if row:
            group, slot, add, complete = self.drain
            if add and slot == self.last_read:  # which reads as well
                self.words = None
            words = row[1][np.arange(self.banks) ^ skew(row[0], self.banks)]
            self.memory[slot, :, row[0]] = self.memory[slot, :, row[0]] + words if add else words
        self.ended = self.drain[1] if row and last and self.drain[3] else None
        self.quiet = self.drain and self.drain[0]
        if read:
            slot, (low, high) = read
            self.last_read = slot
            self.words = self.memory[slot, np.arange(self.banks), low & ~self.bits | high & self.bits]
        assert dut.full_o.value == sum(full << slot for slot, full in enumerate(self.full))
        if self.words is not None:
            assert (from_flat(dut.words_o.value, self.banks) == self.words).all()

    async def unit(self, slot: int, rows: int, add: bool, complete: bool, rate: float = 1, others=None) -> None:
        """A drain into `slot`; `others` gives what else happens in a cycle (arguments of cycle)."""
        others = others or (lambda: {})
        self.drain = int(self.gen.integers(self.groups)), slot, add, complete
        for _ in range(2 + int(self.gen.integers(3))):
            await self.cycle(**others())
        for number in range(rows):
            while self.gen.random() >= rate:
                await self.cycle(**others())
            words = self.gen.integers(0, 2**32, self.banks, dtype=np.uint32)
            await self.cycle((number, words), number == rows - 1, **others())
        self.drain = None
        await self.cycle(**others())
        await self.cycle(**others())

    def read_of(self, slot: int) -> tuple[int, list[int]]:
        """A read with any leading bank and row, and any set of bits that differ among banks."""
        select, low = self.gen.integers(0, (self.banks, ROWS)).tolist()
        row, bits = int(self.gen.integers(ROWS)) & ~low, unskew(select, self.banks)
        return slot, [row | bits & low, row | ~bits & low]


@block_test(us=500)
async def random_jobs(dut):
    """Jobs of any number of rows and units in any slot; others are taken and read meanwhile, at any pace."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    for slot in range(bench.stages):  # no word is unknown
        await bench.unit(slot, ROWS, False, True)
    await bench.cycle()
    taken: list[int] = []

    def others():
        """Take full slots, read those that were taken."""
        found = {}
        if gen.random() < 0.1 and any(bench.full):
            found["take"] = int(gen.choice(np.flatnonzero(bench.full)))
            taken.append(found["take"])
        elif taken and gen.random() < 0.7:
            found["read"] = bench.read_of(int(gen.choice(taken)))
        return found

    for _ in range(60):
        while not taken:
            await bench.cycle(**others())
        slot = taken.pop(int(gen.integers(len(taken))))
        units = int(gen.integers(1, 5))
        for unit in range(units):
            rows = int(gen.choice([1, ROWS, gen.integers(1, ROWS + 1)]))
            await bench.unit(slot, rows, unit > 0, unit == units - 1, float(gen.choice([0.4, 1])), others)


@block_test(us=100)
async def every_read(dut):
    """Every bank in the lead with sets of row bits, in consecutive cycles, from every slot."""
    await start(dut)
    bench = Bench(dut, rng())
    for slot in range(bench.stages):
        await bench.unit(slot, ROWS, False, True)
        await bench.cycle(take=slot)
        for select in range(bench.banks):
            for low in range(0, ROWS, 5):
                row, bits = int(bench.gen.integers(ROWS)) & ~low, unskew(select, bench.banks)
                await bench.cycle(read=(slot, [row | bits & low, row | ~bits & low]))


@block_test(us=5)
async def sums_wrap(dut):
    """The largest sums, in units of a single row; the row is read at once."""
    await start(dut)
    bench = Bench(dut, rng())
    extremes = np.resize(np.array([0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1], np.uint32), bench.banks)
    for unit in range(3):
        bench.drain = 0, 0, unit > 0, unit == 2
        for _ in range(2):
            await bench.cycle()
        await bench.cycle((0, extremes), True)
        bench.drain = None
        await bench.cycle()
        await bench.cycle()
    await bench.cycle(take=0)
    await bench.cycle(read=(0, [0, 0]))


@pytest.mark.parametrize("groups, stages, banks", [(4, 2, 16), (1, 1, 32), (8, 6, 64)])
def test_staging_buffer(run_block, groups, stages, banks):
    run_block("spcore_staging_buffer", {"NumGroups": groups, "NumStage": stages, "NumBanks": banks})
