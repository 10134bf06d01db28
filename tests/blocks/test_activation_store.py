"""activation_store: lines written by two writers, read by PEs and as lines, all at once."""

import os

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

LINE, INDEX = struct("line_write_t"), struct("index_entry_t")


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


class Bench:
    """Drives all ports cycle by cycle; `words` and `index` are what the memories hold."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.requesters = int(os.environ["NumReq"])
        self.num_words = int(os.environ["ActBanks"]) * int(os.environ["ActDepth"])
        self.num_entries = int(os.environ["IdxBanks"]) * int(os.environ["IdxDepth"])
        self.words: dict[int, int] = {}
        self.index: dict[int, dict] = {}
        self.due = {"act": {}, "idx": {}}  # requester -> data of the next cycle
        self.lines_due: list[tuple[int, int, int]] = []  # bitmap, bytes, cycles since it was accepted
        self.lines_read = 0

    async def start(self) -> None:
        dut = self.dut
        cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
        for port in (
            dut.start_i,
            dut.act_req_i,
            dut.act_urgent_i,
            dut.act_addr_i,
            dut.idx_req_i,
            dut.idx_urgent_i,
            dut.idx_addr_i,
            dut.lw_valid_i,
            dut.lw_line_i,
            dut.lr_valid_i,
            dut.lr_idx_addr_i,
        ):
            port.value = 0
        dut.rst_ni.value = 0
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1

    async def cycle(self, writes: dict[int, dict], read: int | None, act: dict[int, int], idx: dict[int, int]):
        """One cycle. `writes`: writer -> line; `read`: index entry; `act`, `idx`: requester -> address.

        Returns (writers that were ready, whether the line read was accepted, grants of act, grants of idx).
        """
        dut = self.dut
        dut.lw_valid_i.value = sum(1 << w for w in writes)
        dut.lw_line_i.value = sum(LINE.pack(line) << (LINE.width * w) for w, line in writes.items())
        dut.lr_valid_i.value, dut.lr_idx_addr_i.value = read is not None, read or 0
        for name, requests in (("act", act), ("idx", idx)):
            getattr(dut, f"{name}_req_i").value = sum(1 << i for i in requests)
            getattr(dut, f"{name}_addr_i").value = sum(address << (24 * i) for i, address in requests.items())
        await RisingEdge(dut.clk_i)
        ready = {w for w in writes if int(dut.lw_ready_o.value) >> w & 1}
        taken = read is not None and bool(dut.lr_ready_o.value)
        grants = {
            name: {i for i in requests if int(getattr(dut, f"{name}_gnt_o").value) >> i & 1}
            for name, requests in (("act", act), ("idx", idx))
        }
        self.check_data()
        await FallingEdge(dut.clk_i)
        assert len(ready) == min(1, len(writes))
        self.due = {
            "act": {i: self.words.get(act[i]) for i in grants["act"]},
            "idx": {
                i: INDEX.pack({k: self.index[idx[i]][k] for k in ("bitmap", "ptr")}) if idx[i] in self.index else None
                for i in grants["idx"]
            },
        }
        if taken:
            line = self.index[read]
            self.lines_due.append((line["bitmap"], line["bytes"], 0))
        for w in ready:
            self.write(writes[w])
        return ready, taken, grants["act"], grants["idx"]

    def write(self, line: dict) -> None:
        self.index[line["idx_addr"]] = line
        for j in range(line["words"]):
            self.words[line["ptr"] + j] = line["bytes"] >> (64 * j) & (2**64 - 1)

    def check_data(self) -> None:
        dut = self.dut
        for name, width in (("act", 64), ("idx", INDEX.width)):
            due = self.due[name]
            assert getattr(dut, f"{name}_rvalid_o").value == sum(1 << i for i in due)
            value = getattr(dut, f"{name}_rdata_o").value
            for i, want in due.items():
                if want is not None:
                    assert value[width * (i + 1) - 1 : width * i].to_unsigned() == want
        if dut.lr_rvalid_o.value:
            bitmap, data, _ = self.lines_due.pop(0)
            assert dut.lr_bitmap_o.value == bitmap
            assert int(dut.lr_bytes_o.value) == data
            self.lines_read += 1
        self.lines_due = [(bitmap, data, age + 1) for bitmap, data, age in self.lines_due]

    async def load(self, gen) -> None:
        """Lines in the lower half of the entries and words, one after the other."""
        ptr = 0
        for entry in range(self.num_entries // 2):
            line = random_line(gen, entry, self.num_words)
            if ptr + line["words"] > self.num_words // 2:
                line |= {"bitmap": 0, "bytes": 0, "words": 0}
            line["ptr"] = ptr
            ptr += line["words"]
            ready, *_ = await self.cycle({entry % 2: line}, None, {}, {})
            assert ready == {entry % 2}, "a line a cycle"


@cocotb.test()
async def write_then_read(dut):
    """Every line comes back as a line and word by word; line reads take at most two cycles each."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    await bench.load(gen)
    entry = cycles = 0
    while bench.lines_read < len(bench.index):
        _, taken, _, _ = await bench.cycle({}, entry if entry in bench.index else None, {}, {})
        entry += taken
        cycles += 1
        assert all(age <= 3 for *_, age in bench.lines_due)
    assert cycles <= 2 * len(bench.index) + 4
    for address in bench.words:
        *_, grants, _ = await bench.cycle({}, None, {address % bench.requesters: address}, {})
        assert grants
    await bench.cycle({}, None, {}, {})


@cocotb.test()
async def writers_take_turns(dut):
    """Two writers that always write each get every other cycle, and line reads wait."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    await bench.load(gen)
    turns = []
    for _ in range(20):
        writes = {w: random_line(gen, bench.num_entries // 2 + w, bench.num_words) for w in (0, 1)}
        ready, taken, *_ = await bench.cycle(writes, 0, {}, {})
        assert not taken
        turns += ready
    assert turns[1:] == [1 - turn for turn in turns[:-1]]


@cocotb.test()
async def everything_at_once(dut):
    """Writers in the upper half, line reads of the lower half, and PEs' requests everywhere, at random rates."""
    bench, gen = Bench(dut), rng()
    await bench.start()
    await bench.load(gen)
    half = bench.num_words // 2
    low = list(range(bench.num_entries // 2))
    for write_rate, read_rate, request_rate in ((0.2, 0.2, 0.2), (0.1, 1, 0.5), (0.7, 0.9, 1), (1, 0.5, 0.1)):
        writes: dict[int, dict] = {}
        read, act, idx = None, {}, {}
        for _ in range(150):
            for w in (0, 1):
                if w not in writes and gen.random() < write_rate:
                    line = random_line(gen, int(gen.integers(len(low), bench.num_entries)), half)
                    writes[w] = line | {"ptr": line["ptr"] + half}
            if read is None and gen.random() < read_rate:
                read = int(gen.choice(low))
            for i in range(bench.requesters):
                if i not in act and gen.random() < request_rate:
                    act[i] = int(gen.integers(bench.num_words))
                if i not in idx and gen.random() < request_rate:
                    idx[i] = int(gen.integers(bench.num_entries))
            ready, taken, got_act, got_idx = await bench.cycle(writes, read, act, idx)
            writes = {w: line for w, line in writes.items() if w not in ready}
            read = None if taken else read
            act = {i: a for i, a in act.items() if i not in got_act}
            idx = {i: a for i, a in idx.items() if i not in got_idx}
    for _ in range(5):
        await bench.cycle({}, None, {}, {})
    assert bench.lines_read > 60 and not bench.lines_due


@pytest.mark.parametrize(
    "sim, requesters, act_banks, act_depth, idx_banks, idx_depth",
    [("verilator", 4, 8, 30, 8, 16), ("verilator", 16, 16, 16, 2, 50), ("icarus", 4, 8, 32, 8, 12)],
)
def test_activation_store(sim, requesters, act_banks, act_depth, idx_banks, idx_depth):
    run_block(
        "spcore_activation_store",
        {
            "NumReq": requesters,
            "ActBanks": act_banks,
            "ActDepth": act_depth,
            "IdxBanks": idx_banks,
            "IdxDepth": idx_depth,
        },
        sim=sim,
    )


def test_parameter_check():
    with pytest.raises(RuntimeError, match="ActBanks = 4, expected at least 8"):
        run_block("spcore_activation_store", {"ActBanks": 4})
