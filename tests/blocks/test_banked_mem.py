# SPDX-License-Identifier: Apache-2.0
"""banked_mem: every cycle against a model of queues, groups and banks; order of a requester, multicast, fairness."""

import os
from collections import deque

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.memory_port import LATENCY
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

REQ, RSP = struct("mem_req_t"), struct("mem_rsp_t")
QUEUE = 2  # requests of a requester that wait
OFFERS = 2  # of a group


def first_after(last: int, candidates: list[int], size: int) -> int:
    """Round robin: the candidate that follows `last`."""
    return min(candidates, key=lambda i: (i - last - 1) % size)


class Model:
    """What the memory does in a cycle, from what it held before."""

    def __init__(self, requesters: int, group: int, banks: int) -> None:
        self.requesters, self.group, self.banks = requesters, group, banks
        self.groups = -(-requesters // group)
        self.words: dict[int, int] = {}
        self.queues = [deque() for _ in range(requesters)]
        self.urgent: set[int] = set()
        self.urgent_before: set[int] = set()  # a cycle earlier
        self.offers = [deque() for _ in range(self.groups)]  # of each group, the oldest first: (address, members)
        self.answers: dict[int, int | None] = {}  # of this cycle: requester -> word (None: never written)
        self.restart()

    def restart(self) -> None:
        """The banks' round robins begin anew."""
        self.last_of_bank = [self.groups - 1] * self.banks

    def _serve(self, blocked: set[int]) -> tuple[set[int], int]:
        """Groups whose offers are taken, and the number of banks that serve."""
        taken, reads = set(), 0
        for bank in set(range(self.banks)) - blocked:
            asking = [g for g, offers in enumerate(self.offers) if offers and offers[0][0] % self.banks == bank]
            if asking:
                urgent = [g for g in asking if self.offers[g][0][1] & self.urgent_before]
                winner = first_after(self.last_of_bank[bank], urgent or asking, self.groups)
                self.last_of_bank[bank] = winner
                taken |= {g for g in asking if self.offers[g][0][0] == self.offers[winner][0][0]}
                reads += 1
        return taken, reads

    def _next_offer(self, group: int) -> tuple[int, set[int]] | None:
        first = group * self.group
        asking = [i for i in range(first, min(first + self.group, self.requesters)) if self.queues[i]]
        if not asking:
            return None
        address = min(self.queues[i][0] for i in [i for i in asking if i in self.urgent] or asking)
        members = {i for i in asking if self.queues[i][0] == address}
        for i in members:
            self.queues[i].popleft()
        return address, members

    def cycle(self, requests: dict[int, int], urgent: set[int], direct: dict, start: bool) -> tuple[set[int], int, int]:
        """Requesters whose request is accepted, banks that serve and requesters served beyond the first of each."""
        accepted = {i for i in requests if len(self.queues[i]) < QUEUE}
        taken, reads = self._serve(set(direct))
        self.answers = {i: self.words.get(self.offers[g][0][0]) for g in taken for i in self.offers[g][0][1]}
        for g, offers in enumerate(self.offers):
            if len(offers) < OFFERS and (offer := self._next_offer(g)):
                offers.append(offer)
            if g in taken:
                offers.popleft()
        for i in accepted:
            self.queues[i].append(requests[i])
        for bank, (row, word) in direct.items():
            if word is not None:
                self.words[row * self.banks + bank] = word
        self.urgent_before, self.urgent = self.urgent, urgent
        if start:
            self.restart()
        return accepted, reads, len(self.answers) - reads


class Bench:
    """Drives one cycle at a time and checks it against the model."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.requesters, self.group, self.banks, self.depth, self.width = (
            int(os.environ[name]) for name in ("NumReq", "GroupSize", "Banks", "Depth", "Width")
        )
        self.model = Model(self.requesters, self.group, self.banks)
        self.direct: dict[int, int | None] = {}  # last cycle: bank -> word read
        self.counts = deque([(0, 0)] * 3)

    async def cycle(
        self, requests: dict[int, int], urgent: set[int] = frozenset(), direct: dict | None = None, start: bool = False
    ) -> set[int]:
        """`requests`: requester -> address; `direct`: bank -> (row, word to write or None to read).

        Returns who got a word.
        """
        dut, direct = self.dut, direct or {}
        dut.start_i.value = start
        dut.req_i.value = sum(
            REQ.pack({"valid": i in requests, "urgent": i in urgent, "addr": requests.get(i, 0)}) << (REQ.width * i)
            for i in {*requests, *urgent}
        )
        row_w = (self.depth - 1).bit_length()
        dut.dir_en_i.value = sum(1 << b for b in direct)
        dut.dir_we_i.value = sum((word is not None) << b for b, (_, word) in direct.items())
        dut.dir_addr_i.value = sum(row << (row_w * b) for b, (row, _) in direct.items())
        dut.dir_wdata_i.value = sum((word or 0) << (self.width * b) for b, (_, word) in direct.items())
        await RisingEdge(dut.clk_i)
        answers = self.model.answers
        self.check_words(answers)
        read = {b: self.model.words.get(row * self.banks + b) for b, (row, word) in direct.items() if word is None}
        accepted, *counts = self.model.cycle(requests, set(urgent), direct, start)
        responses = int(dut.rsp_o.value)
        gnt = {i for i in requests if RSP.unpack(responses >> (RSP.width * i) & (2**RSP.width - 1))["gnt"]}
        assert gnt == accepted
        self.counts.append(tuple(counts))
        assert (int(dut.reads_o.value), int(dut.hits_o.value)) == self.counts.popleft()
        self.direct = read
        await FallingEdge(dut.clk_i)
        self.accepted = accepted
        return set(answers)

    def check_words(self, answers: dict[int, int | None]) -> None:
        dut = self.dut
        responses = int(dut.rsp_o.value)
        rvalid = {i for i in range(self.requesters) if responses >> (RSP.width * i) & 1}
        assert rvalid == set(answers)
        for port, words in ((dut.rdata_o, answers), (dut.dir_rdata_o, self.direct)):
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
            await self.cycle({}, direct={b: (row, value) for b, value in enumerate(values)})

    async def drain(self) -> None:
        """Until nothing is under way."""
        for _ in range(LATENCY + (QUEUE + OFFERS) * self.requesters + 2):
            await self.cycle({})
        assert not any(self.model.queues) and not any(self.model.offers), "requests are left"


@block_test(us=100)
async def random_traffic(dut):
    """Requests that stand until accepted, few and many, on many or few addresses, direct accesses, starts."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.fill(gen)
    size = bench.banks * bench.depth
    for rate in (0.02, 0.3, 1.0):
        for addresses in (3, size):
            for direct_rate in (0.0, 0.3):
                pending: dict[int, int] = {}
                answered = 0
                for _ in range(120):
                    for i in range(bench.requesters):
                        if i not in pending and gen.random() < rate:
                            pending[i] = int(gen.integers(addresses)) * size // addresses
                    urgent = {i for i in range(bench.requesters) if gen.random() < 0.3}
                    direct = {}
                    for b in range(bench.banks):
                        if gen.random() < direct_rate:
                            word = int(gen.integers(2 ** min(32, bench.width)))
                            direct[b] = int(gen.integers(bench.depth)), word if gen.random() < 0.5 else None
                    answered += len(await bench.cycle(pending, urgent, direct, gen.random() < 0.05))
                    for i in bench.accepted:
                        del pending[i]
                await bench.drain()
                assert answered > 0


@block_test(us=5)
async def latency(dut):
    """A word comes LATENCY cycles after its request where nobody else asks."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.fill(gen)
    for i in range(bench.requesters):
        came = [await bench.cycle({i: 1} if cycle == 0 else {}) for cycle in range(LATENCY + 2)]
        assert came == [{i} if cycle == LATENCY else set() for cycle in range(LATENCY + 2)]


@block_test(us=10)
async def multicast(dut):
    """All who ask for one address are served by one access; one requester alone gets a word a cycle."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.fill(gen)
    everyone = range(bench.requesters)
    size = bench.banks * bench.depth
    for address in range(min(20, size)):
        came = await bench.cycle(dict.fromkeys(everyone, address))
        assert bench.accepted == set(everyone) and (address < LATENCY or came == set(everyone))
    await bench.drain()
    for cycle in range(30):
        came = await bench.cycle({0: cycle % size})
        assert bench.accepted == {0} and (cycle < LATENCY or came == {0})


@block_test(us=10)
async def everyone_comes_to_the_end(dut):
    """All ask one bank for different words: it serves one a cycle, and everyone gets all of them, in order."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.fill(gen)
    runs = {i: deque(row * bench.banks for row in range(i % 3, bench.depth, 3)) for i in range(bench.requesters)}
    words, cycles = sum(map(len, runs.values())), 0
    while any(runs.values()):
        await bench.cycle({i: run[0] for i, run in runs.items() if run})
        cycles += 1
        for i in bench.accepted:
            runs[i].popleft()
    await bench.drain()
    assert cycles <= words + LATENCY


@block_test(us=10)
async def urgent_ones_first(dut):
    """All ask one bank for different words, for ever: while some are urgent, only they are served."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.fill(gen)
    requests = {i: i % bench.depth * bench.banks for i in range(min(bench.requesters, bench.depth))}
    urgent = [1, len(requests) - 1]
    served = dict.fromkeys(requests, 0)
    for cycle in range(40):
        for i in await bench.cycle(requests, set(urgent)):
            served[i] += cycle >= 10
    # An offer that was made before a member's turn holds its group up once.
    assert sum(served[i] for i in urgent) >= 28, served


@block_test(us=10)
async def who_is_behind_catches_up(dut):
    """Members of a group read the same words, each beginning later than the one before: what one has read alone is read
    again for those behind it, then they read together."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.fill(gen)
    late, size = 7, bench.banks * bench.depth
    members = range(min(bench.group, bench.requesters))
    left = {i: deque(range(size)) for i in members}
    reads = cycle = 0
    while any(left.values()):
        await bench.cycle({i: run[0] for i, run in left.items() if run and cycle >= late * i})
        reads += int(dut.reads_o.value)
        cycle += 1
        for i in bench.accepted:
            left[i].popleft()
    assert reads <= size + (late + QUEUE) * (len(members) - 1)
    await bench.drain()


@block_test(us=5)
async def direct_port_first(dut):
    """A bank with a direct access serves no request in that cycle; other banks do."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.fill(gen)
    other = bench.requesters - 1
    await bench.cycle({0: 0, other: 1})
    came = [await bench.cycle({}, direct={0: (1, None)}) for _ in range(6)]
    assert came == ([set()] * 2 + [{other}] + [set()] * 3 if other >= bench.group else [set()] * 6)
    came = [await bench.cycle({}) for _ in range(4)]
    assert set().union(*came) == ({0} if other >= bench.group else {0, other})


@pytest.mark.parametrize(
    "sim, requesters, group, banks, depth, width",
    [
        ("verilator", 64, 4, 8, 30, 192),
        ("verilator", 4, 1, 8, 16, 88),
        ("verilator", 5, 2, 2, 7, 1),
        ("verilator", 16, 4, 16, 24, 64),
        ("icarus", 4, 2, 8, 12, 48),
    ],
)
def test_banked_mem(run_block, sim, requesters, group, banks, depth, width):
    sizes = {"NumReq": requesters, "GroupSize": group, "Banks": banks, "Depth": depth, "Width": width}
    run_block("spcore_banked_mem", sizes, sim=sim)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="Banks = 6, expected a power of two"):
        run_block("spcore_banked_mem", {"Banks": 6})
