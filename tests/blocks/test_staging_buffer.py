"""staging_buffer: jobs of one and more units added up, full and take, skewed reads whose words stay."""

import os

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from tests.blocks.output_jobs import ROWS, from_flat, to_flat, unskew
from verif.runner import run_block
from verif.seed import rng


class Bench:
    """One cycle at a time against a numpy memory; what is not driven is random, so that it must not matter."""

    def __init__(self, dut, gen) -> None:
        self.dut, self.gen = dut, gen
        self.banks = int(os.environ["NumBanks"])
        self.memory = np.zeros((self.banks, ROWS), np.uint32)
        self.words: np.ndarray | None = None  # read last; None after an addition, which reads as well
        self.full = self.ended = False  # `ended`: the job's last row came in the last cycle

    async def start(self) -> None:
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
        dut.fill_valid_i.value = dut.take_i.value = dut.read_i.value = 0
        dut.rst_ni.value = 0
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1

    def random_words(self) -> np.ndarray:
        return self.gen.integers(0, 2**32, self.banks, dtype=np.uint32)

    async def cycle(self, fill=None, read=None, take: bool = False) -> None:
        """`fill`: row, add, end, words; `read`: select, row, low."""
        dut, gen = self.dut, self.gen
        row, add, end, words = fill or (int(gen.integers(ROWS)), True, True, self.random_words())
        dut.fill_valid_i.value, dut.fill_row_i.value = fill is not None, row
        dut.fill_add_i.value, dut.fill_end_i.value, dut.fill_data_i.value = add, end, to_flat(words)
        select, read_row, low = read or gen.integers((self.banks, ROWS, ROWS)).tolist()
        dut.read_i.value, dut.take_i.value = read is not None, take
        dut.select_i.value, dut.row_i.value, dut.low_i.value = select, read_row, low
        await FallingEdge(dut.clk_i)
        self.full = self.ended or (self.full and not take)
        self.ended = fill is not None and end
        if fill:
            self.memory[:, row] = self.memory[:, row] + words if add else words
            if add:
                self.words = None
        if read:
            bank = np.arange(self.banks)
            self.words = self.memory[bank, read_row | unskew(bank ^ select, self.banks) & low]
        assert dut.full_o.value == self.full
        if self.words is not None:
            assert (from_flat(dut.words_o.value, self.banks) == self.words).all()

    async def fill(self, rows: list[int], units: int, rate: float = 1) -> None:
        """A job: the rows of its units at `rate`, until it is full. The first unit overwrites."""
        last = None
        for unit in range(units):
            for number, row in enumerate(rows):
                # A row comes again with a cycle between at the earliest; a PE takes longer to begin its drain.
                while row == last or self.gen.random() >= rate:
                    await self.cycle()
                    last = None
                end = unit == units - 1 and number == len(rows) - 1
                await self.cycle(fill=(row, unit > 0, end, self.random_words()))
                last = row
        await self.cycle()
        assert self.full

    def read_of(self, select: int, low: int) -> tuple[int, int, int]:
        """A read with any row, whose bits of `low` are 0."""
        return select, int(self.gen.integers(ROWS)) & ~low, low


@cocotb.test()
async def random_jobs(dut):
    """Jobs of any number of rows and units, filled, taken and read with pauses."""
    gen = rng()
    bench = Bench(dut, gen)
    await bench.start()
    await bench.fill(list(range(ROWS)), 1)  # no word is unknown
    await bench.cycle(take=True)
    for _ in range(25):
        rows = gen.permutation(ROWS) if gen.random() < 0.3 else np.arange(ROWS)
        await bench.fill(rows[: gen.integers(1, ROWS + 1)].tolist(), int(gen.integers(1, 5)), gen.choice([0.4, 1]))
        while gen.random() < 0.5:
            await bench.cycle()
        await bench.cycle(take=True)
        for _ in range(30):
            read = bench.read_of(int(gen.integers(bench.banks)), int(gen.integers(ROWS)))
            await bench.cycle(read=read if gen.random() < 0.7 else None)


@cocotb.test()
async def every_read(dut):
    """Every bank in the lead with every set of row bits, in consecutive cycles."""
    bench = Bench(dut, rng())
    await bench.start()
    await bench.fill(list(range(ROWS)), 1)
    await bench.cycle(take=True)
    for select in range(bench.banks):
        for low in range(0, ROWS, 1 if bench.banks == 16 else 5):
            await bench.cycle(read=bench.read_of(select, low))


@cocotb.test()
async def one_row(dut):
    """Units of a single row as close as they may follow one another, over the largest sums; the row is read at once."""
    bench = Bench(dut, rng())
    await bench.start()
    for row in range(ROWS):
        await bench.fill([row], 6)
        await bench.cycle(take=True)
        await bench.cycle(read=(row % bench.banks, row, 0))
    extremes = np.resize(np.array([0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1], np.uint32), bench.banks)
    await bench.cycle(fill=(3, False, False, extremes))
    await bench.cycle()
    await bench.cycle(fill=(3, True, True, extremes))
    await bench.cycle()
    await bench.cycle(take=True)
    await bench.cycle(read=(0, 3, 0))


@cocotb.test()
async def words_stay(dut):
    """The words read last outlive idle cycles and the next job's first unit, which overwrites them."""
    bench = Bench(dut, rng())
    await bench.start()
    await bench.fill(list(range(ROWS)), 2)
    await bench.cycle(take=True)
    await bench.cycle(read=(5, 0, 7))
    words = bench.words
    for _ in range(3):
        await bench.cycle()
    await bench.fill(list(range(ROWS)), 1)
    assert bench.words is words


@pytest.mark.parametrize("banks", [16, 32])
def test_staging_buffer(banks):
    run_block("spcore_staging_buffer", {"NumBanks": banks})
