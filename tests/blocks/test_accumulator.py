"""accumulator: sums at full rate with every kind of repeated address, drain and clearing, reset."""

import os

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

LAYER, DERIVED, INFO = struct("layer_t"), struct("derived_t"), struct("drain_info_t")
ROWS = 32


class Bench:
    """Drives products, keeps the sums that must come out."""

    def __init__(self, dut):
        self.dut, self.lanes = dut, int(os.environ["NumLanes"])
        self.sums = np.zeros((ROWS, 4 * self.lanes), np.int64)

    async def start(self) -> None:
        dut = self.dut
        dut.rst_ni.value = 0
        await Timer(1, "ns")  # no clock edge before the reset
        cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
        for name in (
            "layer_i",
            "derived_i",
            "unit_i",
            "valid_i",
            "row_i",
            "en_i",
            "bank_i",
            "product_i",
            "end_i",
            "drain_gnt_i",
        ):
            getattr(dut, name).value = 0
        await FallingEdge(dut.clk_i)
        await self.reset()

    async def reset(self) -> None:
        """Reset, then wait until the accumulators have cleared themselves."""
        dut = self.dut
        dut.rst_ni.value, dut.valid_i.value, dut.end_i.value = 0, 0, 0
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        self.sums[:] = 0
        for cycle in range(ROWS):
            assert dut.clearing_o.value and dut.unblock_o.value == (cycle == ROWS - 1)
            await FallingEdge(dut.clk_i)
        assert not dut.clearing_o.value and not dut.unblock_o.value

    async def add(
        self, row: int, banks: np.ndarray, enabled: np.ndarray, products: np.ndarray, end: bool = False
    ) -> None:
        """One cycle with the products of all lanes; `banks` within the quad, distinct among a quad's enabled lanes."""
        dut = self.dut
        dut.valid_i.value, dut.row_i.value, dut.end_i.value = 1, row, end
        dut.en_i.value = sum(int(e) << n for n, e in enumerate(enabled))
        dut.bank_i.value = sum(int(b) << 4 * n for n, b in enumerate(banks))
        dut.product_i.value = sum((int(p) & 0xFFFF) << 16 * n for n, p in enumerate(products))
        for lane in np.flatnonzero(enabled):
            self.sums[row, lane // 4 * 16 + banks[lane]] += products[lane]
        await FallingEdge(dut.clk_i)
        dut.valid_i.value, dut.end_i.value = 0, 0

    async def idle(self, end: bool = False) -> None:
        self.dut.end_i.value = end
        await FallingEdge(self.dut.clk_i)
        self.dut.end_i.value = 0

    async def drain(self, ratio: int, tile_w: int, unit: tuple[int, int], wait: int) -> None:
        """After an end: grant after `wait` cycles, check the rows; `unit` is (tile_h, tile_w) of the unit."""
        dut = self.dut
        rows = -(-((unit[0] - 1) * tile_w + unit[1]) // (4 >> ratio))
        for _ in range(2):
            if dut.drain_req_o.value:
                break
            await FallingEdge(dut.clk_i)
        for _ in range(wait):
            assert dut.drain_req_o.value and not dut.drain_valid_o.value
            await FallingEdge(dut.clk_i)
        dut.drain_gnt_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.drain_gnt_i.value = 0
        for row in range(-1, rows):
            # unblock_o may come so early that a first product four cycles later finds the last row cleared
            assert dut.unblock_o.value == (row == max(-1, rows - 5))
            assert dut.done_o.value == (row == rows - 2)
            assert not dut.drain_req_o.value and dut.drain_valid_o.value == (row >= 0)
            if row >= 0:
                assert dut.drain_row_o.value == row and dut.drain_last_o.value == (row == rows - 1)
                data = int(dut.drain_data_o.value).to_bytes(16 * self.lanes, "little")
                assert (np.frombuffer(data, "<i4") == self.sums[row].astype(np.int32)).all(), f"row {row}"
                self.sums[row] = 0
            await FallingEdge(dut.clk_i)
        assert not dut.drain_valid_o.value

    def shape(self, gen, ratio: int) -> tuple[int, tuple[int, int]]:
        """Set a random layer tile and unit tile; returns (layer's tile_w, (unit's tile_h, tile_w))."""
        tile_w = int(gen.integers(1, 65))
        tile_h = int(gen.integers(1, (128 >> max(1, ratio)) // tile_w + 1)) if tile_w <= 128 >> max(1, ratio) else 0
        if not tile_h:
            return self.shape(gen, ratio)
        unit = int(gen.integers(1, tile_h + 1)), int(gen.integers(1, tile_w + 1))
        self.dut.layer_i.value = LAYER.pack({"tile_w": tile_w, "tile_h": tile_h})
        self.dut.derived_i.value = DERIVED.pack({"ratio": ratio})
        self.dut.unit_i.value = INFO.pack({"tile_h": unit[0], "tile_w": unit[1]})
        return tile_w, unit


def random_lanes(gen, lanes: int):
    banks = np.concatenate([gen.choice(16, 4, replace=False) for _ in range(lanes // 4)])
    return banks, gen.random(lanes) < 0.9, gen.integers(-(2**15), 2**15, lanes)


@cocotb.test()
async def forwarding(dut):
    """The same accumulators every cycle, hit by changing lanes; then every other cycle."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    for gap in (0, 1, 2):
        tile_w, unit = bench.shape(gen, 2)
        for step in range(80):
            # Four banks of a quad, handed around among its lanes: each sum is forwarded to another lane.
            banks = np.tile((np.arange(4) + step) % 4 + 4, bench.lanes // 4)
            await bench.add(0, banks, gen.random(bench.lanes) < 0.8, gen.integers(-(2**15), 2**15, bench.lanes))
            for _ in range(gap):
                await bench.idle()
        await bench.idle(end=True)
        await bench.drain(2, tile_w, unit, 0)


@cocotb.test()
async def random_units(dut):
    """Units of all ratios and tile shapes; few rows so that addresses repeat; ends with and without products."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    for number in range(40):
        ratio = number % 3
        tile_w, unit = bench.shape(gen, ratio)
        rows = -(-((unit[0] - 1) * tile_w + unit[1]) // (4 >> ratio))
        used = gen.integers(0, rows, int(gen.choice([1, 2, rows])))
        for _ in range(int(gen.integers(0, 60))):
            if gen.random() < 0.2:
                await bench.idle()
            else:
                await bench.add(int(gen.choice(used)), *random_lanes(gen, bench.lanes))
        if gen.random() < 0.5:
            await bench.add(int(gen.choice(used)), *random_lanes(gen, bench.lanes), end=True)
        else:
            await bench.idle(end=True)
        await bench.drain(ratio, tile_w, unit, int(gen.choice([0, 1, 20])))


@cocotb.test()
async def next_unit_follows_at_once(dut):
    """Products four cycles after unblock_o, for the last row too, belong to the next unit."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    dut.layer_i.value, dut.derived_i.value = LAYER.pack({"tile_w": 8, "tile_h": 4}), DERIVED.pack({"ratio": 2})
    for height in (1, 2, 4):
        dut.unit_i.value = INFO.pack({"tile_h": height, "tile_w": 8})
        rows = 8 * height
        await bench.add(rows - 1, *random_lanes(gen, bench.lanes), end=True)
        before = bench.sums.copy()
        drained = cocotb.start_soon(bench.drain(2, 8, (height, 8), 0))
        while not dut.unblock_o.value:
            await RisingEdge(dut.clk_i)
            await FallingEdge(dut.clk_i)
        for _ in range(4):
            await FallingEdge(dut.clk_i)
        await drained
        assert before.any() and not bench.sums.any()
        await bench.add(rows - 1, *random_lanes(gen, bench.lanes), end=True)
        await bench.drain(2, 8, (height, 8), 0)


@cocotb.test()
async def wrapping(dut):
    """A sum that leaves 32 bits wraps."""
    bench = Bench(dut)
    await bench.start()
    bench.shape(rng(), 1)
    dut.layer_i.value, dut.unit_i.value = LAYER.pack({"tile_w": 1, "tile_h": 1}), INFO.pack({"tile_h": 1, "tile_w": 1})
    all_on = np.ones(bench.lanes, bool)
    for _ in range(2**16 + 3):
        await bench.add(0, np.tile(np.arange(4), bench.lanes // 4), all_on, np.full(bench.lanes, -(2**15)))
    await bench.idle(end=True)
    bench.sums = (bench.sums + 2**31) % 2**32 - 2**31
    assert (bench.sums[0, :4] == 2**31 - 3 * 2**15).all()
    await bench.drain(1, 1, (1, 1), 0)


@cocotb.test()
async def reset_clears(dut):
    """A reset in the middle of a unit leaves nothing behind."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    for _ in range(3):
        tile_w, unit = bench.shape(gen, 2)
        for row in range(ROWS):
            await bench.add(row, *random_lanes(gen, bench.lanes))
        await bench.reset()
        await bench.idle(end=True)
        await bench.drain(2, tile_w, unit, 2)


RANDOM = ["forwarding", "random_units", "next_unit_follows_at_once", "reset_clears"]


@pytest.mark.parametrize("lanes", [4, 8])
def test_accumulator(lanes):
    run_block("spcore_accumulator", {"NumLanes": lanes})


def test_accumulator_icarus():
    run_block("spcore_accumulator", {"NumLanes": 4}, sim="icarus", testcase=RANDOM)
