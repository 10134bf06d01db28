# SPDX-License-Identifier: Apache-2.0
"""drain_ctrl: rows of every tile shape and ratio, grants at any time, units without a pause, clearing after reset."""

from cocotb.triggers import FallingEdge

from tests.blocks.contexts import Contexts
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

INFO, ROW = struct("drain_info_t"), struct("drain_row_t")
ROWS = 32


class Bench:
    """Ends units and grants their drains; follows the rows through the two stages of mac_array."""

    def __init__(self, dut):
        self.dut, self.gen = dut, rng()
        self.contexts = Contexts(dut, self.gen)
        self.flight: list[dict | None] = [None, None]  # rows asked for one and two cycles ago

    async def begin(self) -> None:
        await start(self.dut)
        await self.reset()

    async def reset(self) -> None:
        """Reset, then all rows are cleared, and none handed over."""
        dut = self.dut
        dut.rst_ni.value, dut.end_i.value, dut.gnt_i.value = 0, 0, 0
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        self.flight = [None, None]
        for row in range(ROWS):
            assert dut.clearing_o.value and dut.clear_o.value and dut.clear_row_o.value == row
            assert dut.unblock_o.value == (row == ROWS - 1) and not dut.done_o.value
            await self.cycle(None)
        assert not dut.clearing_o.value

    async def cycle(self, asked: dict | None) -> None:
        """To the next falling edge; `asked` is the row that is asked for in this cycle, to be handed over."""
        await FallingEdge(self.dut.clk_i)
        shown = ROW.unpack(self.dut.row_o.value)
        self.flight = [asked, self.flight[0]]
        assert shown["valid"] == (self.flight[1] is not None), f"{shown}, expected {self.flight[1]}"
        assert not shown["valid"] or shown == self.flight[1]

    def shape(self, ratio: int) -> tuple[dict, int]:
        """Set a random layer tile; returns a unit's tile and its number of rows."""
        most = 128 >> max(1, ratio)
        tile_w = int(self.gen.integers(1, min(64, most) + 1))
        tile_h = int(self.gen.integers(1, min(64, most // tile_w) + 1))
        unit = {"tile_h": int(self.gen.integers(1, tile_h + 1)), "tile_w": int(self.gen.integers(1, tile_w + 1))}
        unit["ctx"] = self.contexts.show({"tile_w": tile_w, "tile_h": tile_h}, {"ratio": ratio})
        return unit, -(-((unit["tile_h"] - 1) * tile_w + unit["tile_w"]) // (4 >> ratio))

    async def unit(self, unit: dict, rows: int, wait: int) -> None:
        """End a unit whose tile is known from now on, grant after `wait` cycles, see its rows asked for."""
        dut = self.dut
        assert not dut.req_o.value and not dut.clear_o.value
        dut.unit_i.value, dut.end_i.value = INFO.pack(unit), 1
        await self.cycle(None)
        dut.end_i.value = 0
        for _ in range(wait):
            assert dut.req_o.value and not dut.clear_o.value
            await self.cycle(None)
        assert dut.req_o.value
        dut.gnt_i.value = 1
        await self.cycle(None)
        dut.gnt_i.value = 0
        for row in range(rows):
            last = row == rows - 1
            assert not dut.req_o.value and dut.clear_o.value and dut.clear_row_o.value == row
            assert dut.unblock_o.value == last and dut.done_o.value == last
            if row:  # the next unit's tile may be known before this one is handed over
                later = {"tile_h": int(self.gen.integers(1, 65)), "tile_w": 1, "ctx": int(self.gen.integers(2))}
                dut.unit_i.value = INFO.pack(later)
            await self.cycle({"valid": 1, "last": int(last), "row": row})


@block_test(us=200)
async def all_shapes(dut):
    """Tiles of all ratios, one after the other without a pause and with."""
    bench = Bench(dut)
    await bench.begin()
    for number in range(200):
        unit, rows = bench.shape(number % 3)
        await bench.unit(unit, rows, int(bench.gen.choice([0, 1, 20])))
        for _ in range(int(bench.gen.choice([0, 3]))):
            await bench.cycle(None)


@block_test(us=5)
async def no_grant_without_request(dut):
    """A grant while nothing is asked for has no effect."""
    bench = Bench(dut)
    await bench.begin()
    dut.gnt_i.value = 1
    for _ in range(5):
        await bench.cycle(None)
        assert not dut.clear_o.value
    dut.gnt_i.value = 0
    await bench.unit(*bench.shape(2), 3)


@block_test(us=20)
async def reset_at_any_time(dut):
    """A reset before the grant, or among the rows, starts with the clearing of all."""
    bench = Bench(dut)
    await bench.begin()
    for cycles in (0, 1, 2, 5, 20):
        ctx = bench.contexts.show({"tile_w": 8}, {"ratio": 2})
        dut.unit_i.value, dut.end_i.value = INFO.pack({"tile_h": 4, "tile_w": 8, "ctx": ctx}), 1
        await FallingEdge(dut.clk_i)
        dut.end_i.value, dut.gnt_i.value = 0, cycles > 0
        for _ in range(cycles):
            await FallingEdge(dut.clk_i)
        await bench.reset()
        await bench.unit(*bench.shape(1), 0)


def test_drain_ctrl(run_block):
    run_block("spcore_drain_ctrl")


def test_drain_ctrl_icarus(run_block):
    run_block("spcore_drain_ctrl", sim="icarus")
