# SPDX-License-Identifier: Apache-2.0
"""mac_array: sums of all modes and maxima at full rate, both kinds of activations, rows handed over, the MAC count."""

import os

import numpy as np
import pytest
from cocotb.triggers import FallingEdge

from models.km import MODES
from tests.blocks.contexts import Contexts
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

ROWS = 32


class Bench:
    """Drives emissions and hand-overs a cycle at a time, keeps the sums and counts that must come out."""

    def __init__(self, dut):
        self.dut, self.gen, self.lanes = dut, rng(), int(os.environ["NumLanes"])
        self.contexts = Contexts(dut, self.gen)
        self.sums = np.zeros((ROWS, 4 * self.lanes), np.int64)
        self.mode, self.signed, self.maximum = (1, 1), False, False
        self.vector: tuple[np.ndarray, np.ndarray] | None = None
        self.macs = [0, 0]  # of one and two cycles ago
        self.rows: list[np.ndarray | None] = [None, None]  # handed over likewise
        self.position: int | None = None  # of the emission in the cycle before

    async def begin(self) -> None:
        await start(self.dut)
        await self.hand_over(range(ROWS), compare=False)

    def set_mode(self, k: int, m: int, maximum: bool = False) -> None:
        self.mode, self.signed, self.maximum, self.vector = (k, m), bool(self.gen.integers(2)), maximum, None
        layer = {"k_log2": k.bit_length() - 1, "m_log2": m.bit_length() - 1}
        layer |= {"act_signed": self.signed, "maximum": maximum}
        self.dut.ctx_i.value = self.contexts.show(layer, {"ratio": (m // k).bit_length() - 1})

    async def cycle(self, macs: int = 0, row: np.ndarray | None = None) -> None:
        """To the next falling edge; checks what the cycle before the last one leads to."""
        dut = self.dut
        await FallingEdge(dut.clk_i)
        dut.load_i.value, dut.valid_i.value, dut.clear_i.value = 0, 0, 0
        self.macs, self.rows = [macs, self.macs[0]], [row, self.rows[0]]
        assert dut.macs_o.value == self.macs[1]
        if self.rows[1] is not None:
            found = np.frombuffer(int(dut.data_o.value).to_bytes(16 * self.lanes, "little"), "<i4")
            wrong = np.flatnonzero(found != self.rows[1].astype(np.int32))
            assert not len(wrong), f"mode {self.mode}, banks {wrong}: {found[wrong]}, expected {self.rows[1][wrong]}"

    async def idle(self) -> None:
        self.dut.pos_i.value, self.dut.act_i.value = int(self.gen.integers(64)), int(self.gen.integers(256))
        self.position = None
        await self.cycle()

    async def emit(self, load: bool, position: int, act: int) -> None:
        """One emission, with a new vector if `load`."""
        dut, (k, m) = self.dut, self.mode
        if self.position == position:
            await self.idle()
        dut.load_i.value = load or self.vector is None
        if load or self.vector is None:
            values, indices = self.vector = self.random_vector()
            lanes = [int(i) << 8 | int(v) & 0xFF for v, i in zip(values, indices, strict=True)]
            dut.vector_i.value = sum(bits << (12 * n) for n, bits in enumerate(lanes))
        else:
            dut.vector_i.value = int(self.gen.integers(2**48))
        dut.valid_i.value, dut.pos_i.value, dut.act_i.value = 1, position, act
        # docs/architecture.md, section 7.6
        values, indices = self.vector
        share = 4 * k // m
        lane = np.arange(self.lanes)
        bank = lane // 4 * 16 + position % share * (4 * m // k) + lane % 4 // k * m + indices
        used = values != 0
        operand = act - 256 if self.signed and act > 127 else act
        if self.maximum:
            operand += 128 * self.signed
            row = self.sums[position // share]
            row[bank[used]] = np.maximum(row[bank[used]], operand)
        else:
            self.sums[position // share, bank[used]] += operand * values[used]
        self.position = position
        await self.cycle(int(used.sum()) if operand else 0)

    async def hand_over(self, rows, compare: bool = True) -> None:
        """Read and clear rows, one a cycle."""
        for row in rows:
            self.dut.clear_i.value, self.dut.row_i.value = 1, int(row)
            sums, self.sums[row] = self.sums[row].copy(), 0
            await self.cycle(0, sums if compare else None)
        await self.idle()  # the row's sums are cleared in this cycle

    def random_vector(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and indices, ascending within a group of k lanes; some values are zero, some extreme."""
        (k, m), gen = self.mode, self.gen
        if self.maximum:
            return gen.integers(0, 2, self.lanes), np.zeros(self.lanes, int)
        values = gen.choice([-128, -127, -1, 0, 1, 127, int(gen.integers(-128, 128))], self.lanes)
        return values, np.concatenate([np.sort(gen.choice(m, k, replace=False)) for _ in range(self.lanes // k)])


async def units(dut, act_values, fill: float) -> None:
    bench = Bench(dut)
    await bench.begin()
    modes = [*((k, m, False) for k, m in MODES), (1, 1, True), (1, 1, True)]
    for k, m, maximum in modes * int(os.environ.get("ROUNDS", "2")):
        bench.set_mode(k, m, maximum)
        most = min(64, 128 * k // m)
        positions = bench.gen.permutation(most)[: int(bench.gen.choice([1, 2, 4, most]))]
        for _ in range(int(os.environ.get("SLOTS", "200"))):
            if bench.gen.random() < fill:
                act = int(bench.gen.choice(act_values))
                await bench.emit(bool(bench.gen.random() < 0.3), int(bench.gen.choice(positions)), act)
            else:
                await bench.idle()
        await bench.idle()
        await bench.hand_over(range(-(-most * m // (4 * k))))
        assert not bench.sums.any()


@block_test(us=200)
async def random_emissions(dut):
    """All modes, vectors at any time, gaps, zero activations among others."""
    await units(dut, [0, 1, 127, 128, 255, 77], 0.7)


@block_test(us=200)
async def full_rate(dut):
    """All modes without a gap, but for positions that repeat."""
    await units(dut, range(1, 256), 1.0)


@pytest.mark.parametrize("lanes, sim", [(4, "verilator"), (16, "verilator"), (4, "icarus"), (4, "gates")])
def test_mac_array(run_block, lanes, sim):
    few = {"ROUNDS": "1", "SLOTS": "25"} if sim == "gates" else {}  # under a hundred cycles a second
    testcase = "random_emissions" if sim == "gates" else None
    run_block("spcore_mac_array", {"NumLanes": lanes}, sim=sim, testcase=testcase, env=few)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="NumLanes = 12, expected a power of two from 4 to 64"):
        run_block("spcore_mac_array", {"NumLanes": 12})
