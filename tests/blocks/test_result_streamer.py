# SPDX-License-Identifier: Apache-2.0
"""result_streamer: packets against the lines of a model store, stalls on both sides crossed, latencies, throughput."""

import os
from collections import deque

import cocotb
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from models.stream import Packet, line_packet
from tests.blocks.stream_ends import line_sink, set_stalls
from verif.shared.stalls import STALLS
from verif.shared.structs import struct
from verif.sim.env.axi_stream import packet_of
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

REQ, RSP = struct("line_read_req_t"), struct("line_read_rsp_t")
COMMAND, STATUS = struct("res_cmd_t"), struct("res_status_t")


class Bench:
    """A store that answers reads in order after a latency, the sink, and a watch over the stream's handshake."""

    def __init__(self, dut):
        self.dut, self.gen, self.width = dut, rng(), int(os.environ["StreamBytes"])
        self.sink = line_sink(dut)
        self.ready, self.latency = None, (1, 1)
        self.lines: dict[int, tuple[int, bytes]] = {}
        self.done, self.reads, self.beats = [], [], 0
        cocotb.start_soon(self._store())
        cocotb.start_soon(self._watch())

    async def _store(self):
        dut, now, answers = self.dut, 0, deque()
        while True:
            await FallingEdge(dut.clk_i)
            taken, answer = self.ready is None or not next(self.ready), bool(answers) and answers[0][0] <= now
            if answer:
                bitmap, packed = answers.popleft()[1]
            else:
                bitmap, packed = int(self.gen.integers(2**63)), self.gen.bytes(64)
            dut.lr_rsp_i.value = RSP.pack(
                {"gnt": taken, "rvalid": answer, "bitmap": bitmap, "bytes": int.from_bytes(packed, "little")}
            )
            await RisingEdge(dut.clk_i)
            now += 1
            if not dut.rst_ni.value:
                answers.clear()
            elif taken and (request := REQ.unpack(dut.lr_req_o.value))["valid"]:
                address = request["idx_addr"]
                self.reads.append(address)
                due = now + int(self.gen.integers(self.latency[0], self.latency[1] + 1)) - 1
                answers.append((max(due, answers[-1][0] + 1 if answers else 0), self.lines[address]))

    async def _watch(self):
        """TVALID stays until TREADY, and the beat with it; counts beats and done pulses."""
        dut, waiting = self.dut, None
        while True:
            await RisingEdge(dut.clk_i)
            valid = bool(dut.m_axis_tvalid.value)
            beat = (
                tuple(int(p.value) for p in (dut.m_axis_tdata, dut.m_axis_tkeep, dut.m_axis_tlast)) if valid else None
            )
            assert waiting is None or waiting == beat
            taken = valid and bool(dut.m_axis_tready.value)
            waiting = None if taken or not dut.rst_ni.value else beat
            self.beats += taken
            if STATUS.unpack(dut.status_o.value)["done"]:
                self.done.append(self.beats)

    def line(self, density: float | None = None) -> tuple[int, bytes]:
        density = self.gen.choice([0, 0.1, 0.5, 1]) if density is None else density
        bits = self.gen.random(64) < density
        return sum(1 << i for i in range(64) if bits[i]), self.gen.integers(1, 256, bits.sum(), "uint8").tobytes()

    def expected(self, line: tuple[int, bytes]) -> Packet:
        return line_packet(*line, self.width)

    async def command(self, base: int, lines: int):
        dut = self.dut
        await FallingEdge(dut.clk_i)
        dut.cmd_i.value = COMMAND.pack({"start": 1, "idx_base": base, "lines": lines})
        await FallingEdge(dut.clk_i)
        later = {name: int(self.gen.integers(2**24)) for name in ("idx_base", "lines")}
        dut.cmd_i.value = COMMAND.pack(later)

    async def transfer(self, lines: list[tuple[int, bytes]], limit: int = 100_000) -> int:
        """Send `lines` and check every packet; returns the cycles from the command to done."""
        base = int(self.gen.integers(2**20))
        self.lines = {base + i: line for i, line in enumerate(lines)}
        self.done, self.reads, self.beats = [], [], 0
        await self.command(base, len(lines))
        cycles = 0
        while not self.done:
            assert STATUS.unpack(self.dut.status_o.value)["busy"] or self.beats
            await FallingEdge(self.dut.clk_i)
            cycles += 1
            assert cycles < limit, "the transfer does not end"
        for _ in range(6):
            await FallingEdge(self.dut.clk_i)
            assert self.dut.status_o.value == 0 and self.dut.m_axis_tvalid.value == 0
            assert REQ.unpack(self.dut.lr_req_o.value)["valid"] == 0
        assert self.reads == list(range(base, base + len(lines)))
        assert self.done == [self.beats], "done comes once, with the last beat"
        assert self.sink.count() == len(lines)
        for line in lines:
            found = packet_of(self.sink.recv_nowait(compact=False))
            want = self.expected(line)
            assert (found.beats, found.keeps) == (want.beats, want.keeps)
        return cycles


@block_test(us=500)
async def transfers(dut):
    """Random lines under every stall of the sink crossed with every one of the store, at several latencies."""
    await start(dut)
    bench = Bench(dut)
    for sink in STALLS:
        for store in STALLS:
            set_stalls(bench.sink, sink, bench.gen)
            bench.ready = store.pauses(bench.gen)
            for latency in ((1, 1), (3, 3), (1, 9)):
                bench.latency = latency
                await bench.transfer([bench.line() for _ in range(int(bench.gen.integers(1, 25)))])


@block_test(us=20)
async def every_population(dut):
    """Lines with 0 to 64 non-zeros; one line alone, empty and full."""
    await start(dut)
    bench = Bench(dut)
    lines = [((1 << count) - 1, bytes(range(1, count + 1))) for count in range(65)]
    await bench.transfer(lines)
    await bench.transfer(lines[:1])
    await bench.transfer(lines[-1:])


@block_test(us=50)
async def full_rate(dut):
    """A beat every cycle at the store's latency of 5, full and empty lines alike."""
    await start(dut)
    bench = Bench(dut)
    bench.latency = (5, 5)
    for density in (0, 1):
        cycles = await bench.transfer([bench.line(density) for _ in range(60)])
        assert cycles <= bench.beats + 8, f"{cycles} cycles for {bench.beats} beats"


@block_test(us=20)
async def blocked_sink(dut):
    """With the sink blocked for long no more lines are read than there is room for, and none is lost."""
    await start(dut)
    bench = Bench(dut)
    bench.sink.pause = True
    lines = [bench.line(1) for _ in range(40)]
    running = cocotb.start_soon(bench.transfer(lines))
    for _ in range(100):
        await FallingEdge(dut.clk_i)
    assert 0 < len(bench.reads) < 20 and bench.beats == 0
    bench.sink.pause = False
    await running


@block_test(us=5)
async def reset_in_a_transfer(dut):
    """A reset forgets the transfer and the lines read ahead; the next transfer is right."""
    await start(dut)
    bench = Bench(dut)
    bench.lines = {i: bench.line(1) for i in range(50)}
    await bench.command(0, 50)
    for _ in range(17):
        await FallingEdge(dut.clk_i)
    assert bench.beats > 0
    dut.rst_ni.value = 0
    for _ in range(8):
        await FallingEdge(dut.clk_i)
    assert dut.status_o.value == 0 and dut.m_axis_tvalid.value == 0
    dut.rst_ni.value = 1
    await FallingEdge(dut.clk_i)
    bench.sink.clear()
    await bench.transfer([bench.line() for _ in range(9)])


@pytest.mark.parametrize("width, sim", [(8, "verilator"), (16, "verilator"), (64, "verilator"), (8, "icarus")])
def test_result_streamer(run_block, width, sim):
    run_block("spcore_result_streamer", {"StreamBytes": width}, sim=sim)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="StreamBytes = 128, expected 8, 16, 32 or 64"):
        run_block("spcore_result_streamer", {"StreamBytes": 128})
