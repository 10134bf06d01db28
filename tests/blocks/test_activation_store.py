# SPDX-License-Identifier: Apache-2.0
"""activation_store: lines written by two writers, read by PEs and as lines, all at once."""

import os
from collections import deque
from functools import partial

import numpy as np
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

LINE, INDEX = struct("line_write_t"), struct("index_entry_t")
REQ, RSP = struct("mem_req_t"), struct("mem_rsp_t")
READ_REQ, READ_RSP = struct("line_read_req_t"), struct("line_read_rsp_t")
LINE_LATENCY = 5  # cycles from a line read to the line


def random_line(gen, entry: int, words: int) -> dict:
    """A line for index entry `entry` somewhere in a memory of `words` words."""
    density = gen.choice([0, 0.1, 0.5, 1])
    values = gen.integers(1, 256, 64) * (gen.random(64) < density)
    packed = values[values != 0].astype(np.uint8).tobytes()
    count = -(-len(packed) // 8)
    return {
        "idx_addr": entry,
        "ptr": int(gen.integers(words - count + 1)),
        "words": count,
        "bitmap": sum(1 << int(b) for b in np.flatnonzero(values)),
        "bytes": int.from_bytes(packed, "little"),
    }


def line_at(gen, banks: int, entry: int, first_bank: int, words: int) -> dict:
    """A line of `words` words, the first in a bank given, in row `entry` of the Activation Memory."""
    values = gen.integers(1, 256, 8 * words).astype(np.uint8)
    return {
        "idx_addr": entry,
        "ptr": banks * entry + first_bank,
        "words": words,
        "bitmap": (1 << 8 * words) - 1,
        "bytes": int.from_bytes(values.tobytes(), "little"),
    }


class Bench:
    """Drives all ports cycle by cycle; `words` and `index` are what the memories hold."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.requesters = int(os.environ["NumReq"])
        self.num_words = int(os.environ["ActBanks"]) * int(os.environ["ActDepth"])
        self.num_entries = int(os.environ["IdxBanks"]) * int(os.environ["IdxDepth"])
        self.words: dict[int, int] = {}
        self.index: dict[int, dict] = {}
        # Addresses under way of each requester, in order, with what the memory may hold when it is read.
        self.under_way = {name: [deque() for _ in range(self.requesters)] for name in ("act", "idx")}
        self.readers = int(os.environ["NumRead"])
        # Of each reader, in order: bitmap, bytes, cycles since it was accepted.
        self.lines_due: list[deque[list[int]]] = [deque() for _ in range(self.readers)]
        self.lines_read, self.oldest_line = [0] * self.readers, 0
        self.counted = {"act": 0, "idx": 0}  # accesses so far, and what they have to be
        self.accesses = {"act": 0, "idx": 0}

    async def cycle(
        self,
        writes: dict[int, dict] | None = None,
        reads: dict[int, int] | None = None,
        act: dict[int, int] | None = None,
        idx: dict[int, int] | None = None,
    ):
        """One cycle. `writes`: writer -> line; `reads`: reader -> index entry; `act`, `idx`: requester -> address.

        Returns (writers that were ready, readers whose read was accepted, requesters accepted by act and by idx).
        """
        dut, writes, requests = self.dut, writes or {}, {"act": act or {}, "idx": idx or {}}
        reads = reads or {}
        dut.lw_valid_i.value = sum(1 << w for w in writes)
        dut.lw_line_i.value = sum(LINE.pack(line) << (LINE.width * w) for w, line in writes.items())
        dut.lr_req_i.value = sum(
            READ_REQ.pack({"valid": 1, "idx_addr": entry}) << READ_REQ.width * i for i, entry in reads.items()
        )
        for name, asked in requests.items():
            getattr(dut, f"{name}_req_i").value = sum(
                REQ.pack({"valid": 1, "addr": address}) << (REQ.width * i) for i, address in asked.items()
            )
        await RisingEdge(dut.clk_i)
        ready = {w for w in writes if int(dut.lw_ready_o.value) >> w & 1}
        assert int(dut.lw_ready_o.value) in (1, 2), "one writer is ready, whoever waits"
        self.check_words()
        # The line is unknown before the first read.
        flat = str(dut.lr_rsp_o.value)[::-1]
        responses = [flat[READ_RSP.width * i :][: READ_RSP.width][::-1] for i in range(self.readers)]
        granted, valid = ([i for i, bits in enumerate(responses) if bits[n] == "1"] for n in (0, 1))
        assert len(granted) <= 1 and len(valid) <= 1
        self.check_line(*((i, READ_RSP.unpack(int(responses[i], 2))) for i in valid))
        taken = set(granted) & set(reads)
        self.count()
        accepted = {name: self.accept(name, asked) for name, asked in requests.items()}
        await FallingEdge(dut.clk_i)
        for i in taken:
            line = self.index[reads[i]]
            self.lines_due[i].append([line["bitmap"], line["bytes"], 1])
            if i < self.readers - 1:  # the last is no part of a layer
                self.accesses["idx"] += 1
                self.accesses["act"] += line["words"]
        for w in ready:
            self.write(writes[w])
        return ready, taken, accepted["act"], accepted["idx"]

    def stored(self, name: str, address: int) -> int | None:
        """What a memory holds; None where nothing was written."""
        if name == "act":
            return self.words.get(address)
        line = self.index.get(address)
        return line and INDEX.pack({"bitmap": line["bitmap"], "ptr": line["ptr"]})

    def accept(self, name: str, asked: dict[int, int]) -> set[int]:
        """Requesters whose request is taken in this cycle."""
        flat = int(getattr(self.dut, f"{name}_rsp_o").value)
        taken = {i for i in asked if flat >> (RSP.width * i + 1) & 1}
        self.accesses[name] += len(taken)
        for i in taken:
            self.under_way[name][i].append((asked[i], {self.stored(name, asked[i])}))
        return taken

    def check_words(self) -> None:
        """Each answer is that of its requester's oldest request: what is there, or was while it was under way."""
        for name, width in (("act", 64), ("idx", INDEX.width)):
            flat, value = int(getattr(self.dut, f"{name}_rsp_o").value), getattr(self.dut, f"{name}_rdata_o").value
            for i, queue in enumerate(self.under_way[name]):
                for address, words in queue:
                    words.add(self.stored(name, address))
                if flat >> (RSP.width * i) & 1:
                    _, words = queue.popleft()
                    if None not in words:
                        assert value[width * (i + 1) - 1 : width * i].to_unsigned() in words, f"{name}, requester {i}"

    def count(self) -> None:
        """Add up what the counters are told."""
        for name in self.counted:
            reads, hits = (int(getattr(self.dut, f"{name}_{what}_o").value) for what in ("reads", "hits"))
            self.counted[name] += reads + hits

    def check_line(self, *responses: tuple[int, dict]) -> None:
        for reader, response in responses:
            bitmap, data, age = self.lines_due[reader].popleft()
            assert (response["bitmap"], response["bytes"]) == (bitmap, data), f"reader {reader}"
            self.oldest_line = max(self.oldest_line, age)
            self.lines_read[reader] += 1
        for line in (line for lines in self.lines_due for line in lines):
            line[2] += 1

    async def drain(self) -> None:
        """Until nothing is under way."""
        for _ in range(20 + 4 * self.requesters):
            await self.cycle()
        assert not any(self.lines_due), "line reads without an answer"
        assert not any(queue for queues in self.under_way.values() for queue in queues), "requests without an answer"
        assert self.counted == self.accesses, "accesses of PEs and residual lines are counted"

    def write(self, line: dict) -> None:
        self.index[line["idx_addr"]] = line
        for j in range(line["words"]):
            self.words[line["ptr"] + j] = line["bytes"] >> (64 * j) & (2**64 - 1)

    async def load(self, gen) -> None:
        """Lines in the lower half of the entries and words, one after the other."""
        ptr = 0
        for entry in range(self.num_entries // 2):
            line = random_line(gen, entry, self.num_words)
            if ptr + line["words"] > self.num_words // 2:
                line |= {"bitmap": 0, "bytes": 0, "words": 0}
            line["ptr"] = ptr
            ptr += line["words"]
            ready, *_ = await self.cycle({0: line})
            assert ready == {0}, "a line a cycle from one writer"


@block_test(us=50)
async def write_then_read(dut):
    """Every line comes back as a line, one a cycle, and word by word."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.load(gen)
    await bench.drain()
    for reader in range(bench.readers):
        await bench.cycle(reads={reader: 0})  # its turn comes
        for entry in bench.index:
            _, taken, *_ = await bench.cycle(reads={reader: entry})
            assert taken, "a line read a cycle"
    await bench.drain()
    assert sum(bench.lines_read) == bench.readers * len(bench.index) + 1 and bench.oldest_line == LINE_LATENCY
    for address in bench.words:
        *_, accepted, _ = await bench.cycle(act={address % bench.requesters: address})
        assert accepted
    await bench.drain()


@block_test(us=10)
async def readers_take_turns(dut):
    """Readers that always ask each get every n-th cycle; while lines are written they wait, and none is lost."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.load(gen)
    turns = []
    for _ in range(30):
        _, taken, *_ = await bench.cycle(
            reads={i: int(gen.integers(bench.num_entries // 2)) for i in range(bench.readers)}
        )
        turns += taken
    assert turns == [i % bench.readers for i in range(30)]
    await bench.drain()


@block_test(us=5)
async def writers_take_turns(dut):
    """Two writers that always write each get every other cycle; one alone gets every cycle."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.load(gen)
    turns = []
    for _ in range(20):
        writes = {w: random_line(gen, bench.num_entries // 2 + w, bench.num_words) for w in (0, 1)}
        ready, *_ = await bench.cycle(writes, {0: 0})
        turns += ready
    assert turns[1:] == [1 - turn for turn in turns[:-1]]
    for writer in (0, 1):
        turns = [
            await bench.cycle({writer: random_line(gen, bench.num_entries - 1, bench.num_words)}) for _ in range(9)
        ]
        assert all(ready == {writer} for ready, *_ in turns[1:])


@block_test(us=10)
async def turns_at_a_start(dut):
    """Whoever had the last turn, at the start of a layer the first writer and the first reader have the next one."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.load(gen)
    lines = {w: random_line(gen, bench.num_entries // 2 + w, bench.num_words) for w in (0, 1)}
    for reader in range(1, bench.readers):
        for _ in range(2):
            await bench.cycle({1: lines[1]}, {reader: 0})
        await bench.drain()
        dut.start_i.value = 1
        await bench.cycle()
        dut.start_i.value = 0
        ready, taken, *_ = await bench.cycle(lines, dict.fromkeys(range(bench.readers), 0))
        assert ready == taken == {0}
    await bench.drain()


@block_test(us=20)
async def writes_beside_reads(dut):
    """Of lines that share no bank one is written and one read in a cycle; a read waits for writes to its banks."""
    await start(dut)
    bench = Bench(dut)
    banks, index_banks = int(os.environ["ActBanks"]), int(os.environ["IdxBanks"])
    line = partial(line_at, rng(), banks)

    # An index entry's bank is its two lowest digits, one exclusive or the other: `read` and `same` share one.
    read, other, same = 0, 3, index_banks + 1
    await bench.cycle({0: line(read, 0, banks // 2)})
    await bench.drain()
    await bench.cycle(reads={0: read})  # its turn comes
    for written, first_bank, words, free in (
        (other, banks // 2, banks // 2, True),
        (other, banks // 2 - 1, 1, False),
        (other, banks - 1, 2, False),  # its second word in the first bank
        (other, banks - 1, 1, True),
        (other, 0, 0, True),  # an empty line, of an index entry alone
        (same, banks // 2, 1, False),  # its index entry in the bank of that read
    ):
        await bench.drain()
        before, bench.oldest_line = bench.lines_read[0], 0
        for _ in range(12):
            ready, *_ = await bench.cycle({0: line(written, first_bank, words)}, {0: read})
            assert ready == {0}, "writes wait for nothing"
        assert bench.lines_read[0] - before == (12 - LINE_LATENCY if free else 0), (written, first_bank, words)
        await bench.drain()
        assert (bench.oldest_line == LINE_LATENCY) == free


@block_test(us=20)
async def reads_pass_one_that_waits(dut):
    """While a read waits for writes to its banks, the next one goes first if it is another reader's, and then the one
    behind that; the reader's own do not."""
    await start(dut)
    bench = Bench(dut)
    banks, index_banks = int(os.environ["ActBanks"]), int(os.environ["IdxBanks"])
    line = partial(line_at, rng(), banks)
    # Index entries of three banks.
    waits, passes, written = 0, 3, index_banks + 3
    await bench.cycle({0: line(waits, 0, 1)})
    await bench.cycle({0: line(passes, banks // 2, 1)})
    await bench.drain()

    async def read(*reads: tuple[int, int], cycles: int = 12) -> None:
        """Reads one after the other, as (reader, index entry), while the first bank is written."""
        left = deque(reads)
        for _ in range(cycles):
            _, taken, *_ = await bench.cycle({0: line(written, 0, 1)}, dict([left[0]] if left else []))
            if taken:
                left.popleft()
        assert not left, "reads are taken while one waits"

    await read((0, waits), (1, passes), (1, passes))
    assert bench.lines_read[:2] == [0, 2]
    await bench.drain()
    assert bench.lines_read[:2] == [1, 2]
    await read((0, waits), (0, passes), (1, passes))
    assert bench.lines_read[:2] == [1, 2], "no reader's reads pass each other, nor does what is behind two"
    await bench.drain()
    assert bench.lines_read[:2] == [3, 3]


@block_test(us=50)
async def everything_at_once(dut):
    """Writers in the upper half, line reads of the lower half, and PEs' requests everywhere, at random rates."""
    await start(dut)
    bench, gen = Bench(dut), rng()
    await bench.load(gen)
    half = bench.num_words // 2
    low = list(range(bench.num_entries // 2))
    for write_rate, read_rate, request_rate in ((0.2, 0.2, 0.2), (0.1, 1, 0.5), (0.7, 0.9, 1), (1, 0.5, 0.1)):
        writes: dict[int, dict] = {}
        reads, act, idx = {}, {}, {}
        for _ in range(150):
            for w in (0, 1):
                if w not in writes and gen.random() < write_rate:
                    line = random_line(gen, int(gen.integers(len(low), bench.num_entries)), half)
                    writes[w] = line | {"ptr": line["ptr"] + half}
            for i in range(bench.readers):
                if i not in reads and gen.random() < read_rate:
                    reads[i] = int(gen.choice(low))
            for i in range(bench.requesters):
                if i not in act and gen.random() < request_rate:
                    act[i] = int(gen.integers(bench.num_words))
                if i not in idx and gen.random() < request_rate:
                    idx[i] = int(gen.integers(bench.num_entries))
            ready, taken, got_act, got_idx = await bench.cycle(writes, reads, act, idx)
            writes = {w: line for w, line in writes.items() if w not in ready}
            reads = {i: entry for i, entry in reads.items() if i not in taken}
            act = {i: a for i, a in act.items() if i not in got_act}
            idx = {i: a for i, a in idx.items() if i not in got_idx}
        await bench.drain()
    assert sum(bench.lines_read) > 60


@pytest.mark.parametrize(
    "sim, requesters, act_banks, act_depth, idx_banks, idx_depth, readers",
    [("verilator", 4, 8, 30, 8, 16, 3), ("verilator", 16, 16, 16, 16, 8, 2), ("icarus", 4, 8, 32, 8, 12, 3)],
)
def test_activation_store(run_block, sim, requesters, act_banks, act_depth, idx_banks, idx_depth, readers):
    run_block(
        "spcore_activation_store",
        {
            "NumReq": requesters,
            "ActBanks": act_banks,
            "ActDepth": act_depth,
            "IdxBanks": idx_banks,
            "IdxDepth": idx_depth,
            "NumRead": readers,
        },
        sim=sim,
    )


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="ActBanks = 4, expected at least 8"):
        run_block("spcore_activation_store", {"ActBanks": 4})
