"""banked_mem: data of every grant, multicast, order of service, direct port, fairness."""

import os

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from verif.runner import run_block
from verif.seed import rng

ADDR_W = 24


class Bench:
    """Drives one cycle at a time and checks it against a model of the banks and of the order of service."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.requesters, self.banks, self.depth, self.width = (
            int(os.environ[name]) for name in ("NumReq", "Banks", "Depth", "Width")
        )
        self.memory: list[int | None] = [None] * (self.banks * self.depth)
        self.last = [self.requesters - 1] * self.banks  # requester served last
        self.granted: dict[int, int | None] = {}  # last cycle: requester -> word (None: never written)
        self.direct: dict[int, int | None] = {}  # last cycle: bank -> word read

    async def start(self) -> None:
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
        for port in (
            dut.start_i,
            dut.req_i,
            dut.urgent_i,
            dut.addr_i,
            dut.dir_en_i,
            dut.dir_we_i,
            dut.dir_addr_i,
            dut.dir_wdata_i,
        ):
            port.value = 0
        dut.rst_ni.value = 0
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1

    async def cycle(
        self, requests: dict[int, tuple[int, bool]], direct: dict[int, tuple[int, int | None]], start: bool = False
    ) -> set[int]:
        """`requests`: requester -> (address, urgent); `direct`: bank -> (row, word to write or None to read).

        Returns who was granted.
        """
        dut = self.dut
        dut.start_i.value = start
        dut.req_i.value = sum(1 << i for i in requests)
        dut.urgent_i.value = sum(urgent << i for i, (_, urgent) in requests.items())
        dut.addr_i.value = sum(address << (ADDR_W * i) for i, (address, _) in requests.items())
        row_w = (self.depth - 1).bit_length()
        dut.dir_en_i.value = sum(1 << b for b in direct)
        dut.dir_we_i.value = sum((word is not None) << b for b, (_, word) in direct.items())
        dut.dir_addr_i.value = sum(row << (row_w * b) for b, (row, _) in direct.items())
        dut.dir_wdata_i.value = sum((word or 0) << (self.width * b) for b, (_, word) in direct.items())
        await RisingEdge(dut.clk_i)
        grants = int(dut.gnt_o.value)
        reads, hits = int(dut.reads_o.value), int(dut.hits_o.value)
        self.check_data()
        await FallingEdge(dut.clk_i)
        winners = self.winners(requests, direct)
        if start:
            self.last = [self.requesters - 1] * self.banks
        want = {i for i, (address, _) in requests.items() if winners.get(address % self.banks) == address}
        assert grants == sum(1 << i for i in want)
        assert reads == len(winners) and hits == len(want) - len(winners)
        self.granted = {i: self.memory[requests[i][0]] for i in want}
        self.direct = {b: self.memory[row * self.banks + b] for b, (row, word) in direct.items() if word is None}
        for bank, (row, word) in direct.items():
            if word is not None:
                self.memory[row * self.banks + bank] = word
        return want

    def winners(self, requests, direct) -> dict[int, int]:
        """bank -> address served this cycle."""
        found = {}
        for bank in range(self.banks):
            asking = {i: urgent for i, (address, urgent) in requests.items() if address % self.banks == bank}
            if asking and bank not in direct:
                first = (self.last[bank] + 1) % self.requesters
                winner = min(asking, key=lambda i: (not asking[i], (i - first) % self.requesters))
                self.last[bank] = winner
                found[bank] = requests[winner][0]
        return found

    def check_data(self) -> None:
        dut = self.dut
        assert dut.rvalid_o.value == sum(1 << i for i in self.granted)
        for port, words in ((dut.rdata_o, self.granted), (dut.dir_rdata_o, self.direct)):
            known = {i: word for i, word in words.items() if word is not None}
            if known:
                value = port.value
                for i, word in known.items():
                    lane = value[self.width * (i + 1) - 1 : self.width * i]
                    assert lane.to_unsigned() == word, f"{port._name}: requester or bank {i}"

    async def fill(self, gen) -> None:
        """Write every word through the direct port."""
        for row in range(self.depth):
            words = gen.integers(0, 2**32, (self.banks, -(-self.width // 32)))
            values = [int.from_bytes(word.astype("<u4").tobytes(), "little") % 2**self.width for word in words]
            await self.cycle({}, {b: (row, value) for b, value in enumerate(values)})


@cocotb.test()
async def random_traffic(dut):
    """Requests that stand until granted, few and many, spread or not, direct accesses and starts between."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    await bench.fill(gen)
    size = bench.banks * bench.depth
    for rate in (0.02, 0.3, 1.0):
        for addresses in (3, size):
            for direct_rate in (0.0, 0.3):
                pending: dict[int, tuple[int, bool]] = {}
                for _ in range(120):
                    for i in range(bench.requesters):
                        if i not in pending and gen.random() < rate:
                            pending[i] = int(gen.integers(addresses)) * size // addresses, bool(gen.random() < 0.3)
                    direct = {}
                    for b in range(bench.banks):
                        if gen.random() < direct_rate:
                            word = int(gen.integers(2 ** min(32, bench.width)))
                            direct[b] = int(gen.integers(bench.depth)), word if gen.random() < 0.5 else None
                    for i in await bench.cycle(pending, direct, gen.random() < 0.05):
                        del pending[i]


@cocotb.test()
async def multicast(dut):
    """All who ask for one address are served by one access, all of the time."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    await bench.fill(gen)
    for address in range(min(20, bench.banks * bench.depth)):
        assert len(await bench.cycle(dict.fromkeys(range(bench.requesters), (address, False)), {})) == bench.requesters


@cocotb.test()
async def nobody_starves(dut):
    """All ask one bank for different words, for ever: each is served once every NumReq cycles; urgent ones share it."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    await bench.fill(gen)
    requests = {i: (i % bench.depth * bench.banks, False) for i in range(min(bench.requesters, bench.depth))}
    served = np.zeros(bench.requesters, int)
    for _ in range(4 * len(requests)):
        for i in await bench.cycle(requests, {}):
            served[i] += 1
    assert (served[: len(requests)] == 4).all()
    urgent = [1, 2, len(requests) - 1]
    requests = {i: (address, i in urgent) for i, (address, _) in requests.items()}
    served[:] = 0
    for _ in range(30):
        for i in await bench.cycle(requests, {}):
            served[i] += 1
    assert (served[urgent] == 10).all() and served.sum() == 30


@cocotb.test()
async def direct_port_first(dut):
    """A bank with a direct access serves no request in that cycle; other banks do."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    await bench.fill(gen)
    requests = {0: (0, True), 1: (1, False)}
    assert await bench.cycle(requests, {0: (1, None)}) == {1}
    assert await bench.cycle(requests, {0: (0, 1), 1: (0, 0)}) == set()
    assert await bench.cycle(requests, {}) == {0, 1}
    assert bench.granted == {0: 1, 1: 0}
    await bench.cycle({}, {})


@pytest.mark.parametrize(
    "sim, requesters, banks, depth, width",
    [
        ("verilator", 64, 8, 30, 192),
        ("verilator", 4, 8, 16, 88),
        ("verilator", 5, 2, 7, 1),
        ("verilator", 16, 16, 24, 64),
        ("icarus", 4, 8, 12, 48),
    ],
)
def test_banked_mem(sim, requesters, banks, depth, width):
    run_block("spcore_banked_mem", {"NumReq": requesters, "Banks": banks, "Depth": depth, "Width": width}, sim=sim)


def test_parameter_check():
    with pytest.raises(RuntimeError, match="Banks = 6, expected a power of two"):
        run_block("spcore_banked_mem", {"Banks": 6})
