# SPDX-License-Identifier: Apache-2.0
"""acc_quad: sums and maxima at full rate, rows handed over and cleared, wrapping; both of its forms alike."""

import os
from pathlib import Path

import numpy as np
import pytest
from cocotb.triggers import FallingEdge

from verif.sim.kit import block_test, start
from verif.sim.seed import rng

ROWS, BANKS = 32, 16
FORMS = Path(__file__).parent / "hdl" / "acc_quad_forms.sv"


class Bench:
    """Drives products and hand-overs a cycle at a time, keeps the sums that must come out of both forms."""

    def __init__(self, dut):
        self.dut, self.gen = dut, rng()
        self.sums = np.zeros((ROWS, BANKS), np.int64)
        self.maximum = False
        self.read: tuple[int, set[int]] = (0, set())  # row and banks read in the cycle before

    async def begin(self) -> None:
        dut = self.dut
        self.set_maximum(False)
        await start(dut)
        for row in range(ROWS):
            dut.row_i.value, dut.clear_i.value = row, 1
            await FallingEdge(dut.clk_i)
        await self.idle()

    def set_maximum(self, maximum: bool) -> None:
        self.maximum = self.dut.maximum_i.value = maximum

    async def idle(self) -> None:
        self.dut.add_i.value, self.dut.clear_i.value = 0, 0
        # What is not enabled may be anything.
        self.dut.row_i.value = int(self.gen.integers(ROWS))
        self.dut.en_i.value, self.dut.bank_i.value = int(self.gen.integers(16)), int(self.gen.integers(2**16))
        self.dut.product_i.value = int(self.gen.integers(2**62))
        await FallingEdge(self.dut.clk_i)
        self.read = (0, set())

    async def add(self, row: int, banks: np.ndarray, enabled: np.ndarray, products: np.ndarray) -> None:
        """One product of each enabled lane; a cycle later where they meet the sums of the cycle before."""
        if int(os.environ["NumForms"]) > 1:  # the banks leave out what is not enabled, whatever it is
            products = np.where(enabled, products, 0)
        used = {int(bank) for bank in banks[enabled]}
        if self.read[0] == row and self.read[1] & used:
            await self.idle()
        dut = self.dut
        dut.clear_i.value, dut.add_i.value, dut.row_i.value = 0, 1, row
        dut.en_i.value = sum(int(e) << n for n, e in enumerate(enabled))
        dut.bank_i.value = sum(int(b) << 4 * n for n, b in enumerate(banks))
        dut.product_i.value = sum((int(p) & 0xFFFF) << 16 * n for n, p in enumerate(products))
        old, new = self.sums[row, banks[enabled]], products[enabled]
        self.sums[row, banks[enabled]] = np.maximum(old, new) if self.maximum else old + new
        await FallingEdge(dut.clk_i)
        self.read = (row, used)

    async def hand_over(self, rows) -> None:
        """Read and clear rows, one a cycle."""
        dut = self.dut
        if len(rows) and self.read[0] == rows[0]:
            await self.idle()
        for row in rows:
            dut.add_i.value, dut.clear_i.value, dut.row_i.value = 0, 1, int(row)
            dut.en_i.value, dut.bank_i.value = int(self.gen.integers(16)), int(self.gen.integers(2**16))
            await FallingEdge(dut.clk_i)
            forms = int(os.environ["NumForms"])
            data = np.frombuffer(int(dut.data_o.value).to_bytes(4 * forms * BANKS, "little"), "<i4")
            want = self.sums[row].astype(np.int32)
            for form, found in zip(("banks", "lanes"), data.reshape(forms, BANKS), strict=False):
                assert (found == want).all(), f"row {row}, {form}: {found}, expected {want}"
            self.sums[row] = 0
            self.read = (row, set(range(BANKS)))

    def lanes(self, fill: float = 0.9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Banks that lanes may address, all different; which are enabled; any products."""
        while True:
            banks = np.arange(4) + self.gen.integers(0, BANKS - 3, 4)
            if len(set(banks.tolist())) == 4:
                if self.maximum:
                    return banks, self.gen.random(4) < fill, self.gen.choice([0, 1, 127, 128, 254, 255, 200], 4)
                products = self.gen.choice([-(2**15), 2**15 - 1, -1, 0, 1, int(self.gen.integers(-(2**15), 2**15))], 4)
                return banks, self.gen.random(4) < fill, products


@block_test(us=200)
async def random_sums(dut):
    """Sums and maxima, few rows and many, with gaps and without; rows that were used are handed over in any order."""
    bench = Bench(dut)
    await bench.begin()
    for number in range(80):
        bench.set_maximum(number % 4 == 3)
        used = bench.gen.permutation(ROWS)[: int(bench.gen.choice([1, 2, 3, ROWS]))]
        for _ in range(int(bench.gen.integers(0, 120))):
            if bench.gen.random() < 0.1:
                await bench.idle()
            await bench.add(int(bench.gen.choice(used)), *bench.lanes())
        await bench.hand_over(used)
        if bench.gen.random() < 0.5:
            await bench.idle()


@block_test(us=100)
async def every_crossing(dut):
    """Each lane into each of its banks, alone, positive and negative, across every carry of the upper half."""
    bench = Bench(dut)
    await bench.begin()
    for lane in range(4):
        for bank in range(lane, lane + BANKS - 3):
            banks, enabled = (np.arange(4) + bank - lane) % BANKS, np.arange(4) == lane
            row = int(bench.gen.integers(ROWS))
            for product in (1, -1, -1, 1, 32767, 32767, 32767, -32768, -32768, -32768, -1, 1, -2):
                await bench.add(row, banks, enabled, np.full(4, product))
            await bench.hand_over([row])
    assert not bench.sums.any()


@block_test(us=500)
async def every_maximum(dut):
    """Each value of an accumulator and products of all sizes behind it, in a bank of each lane."""
    bench = Bench(dut)
    await bench.begin()
    bench.set_maximum(True)
    banks, enabled = np.arange(4) * 4, np.ones(4, bool)
    for first in range(256):
        row = first % ROWS
        for second in range(first % 17, 256, 17):
            await bench.add(row, banks, enabled, (first + np.arange(4)) % 256)
            await bench.add(row, banks, enabled, (second + np.arange(4)) % 256)
            await bench.hand_over([row])


@block_test(us=20000)
async def wrapping(dut):
    """A sum that leaves 32 bits wraps, on either side."""
    bench = Bench(dut)
    await bench.begin()
    banks, enabled = np.arange(4) + 3, np.ones(4, bool)
    ends = (2**15 - 1, -(2**15))
    for row, product in enumerate(ends):
        await bench.add(row, banks, enabled, np.full(4, product))
    packed = [sum((end & 0xFFFF) << 16 * n for n in range(4)) for end in ends]
    for _ in range(2**16 + 8):
        for row in range(2):
            dut.row_i.value, dut.product_i.value = row, packed[row]
            await FallingEdge(dut.clk_i)
    bench.read = (1, set(range(3, 7)))
    bench.sums *= 2**16 + 9
    assert (bench.sums[0, 3:7] > 2**31).all() and (bench.sums[1, 3:7] < -(2**31)).all()
    bench.sums = (bench.sums + 2**31) % 2**32 - 2**31
    await bench.hand_over(range(2))


SHORT = ["random_sums", "every_crossing", "every_maximum"]


@pytest.mark.parametrize(
    "sim, forms, testcase", [("verilator", 2, None), ("icarus", 1, SHORT)]
)  # the faster: Verilator's
def test_acc_quad(run_block, sim, forms, testcase):
    run_block("acc_quad_forms", {"NumForms": forms}, sim=sim, extra_sources=[FORMS], testcase=testcase)
