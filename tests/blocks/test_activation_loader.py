# SPDX-License-Identifier: Apache-2.0
"""activation_loader: loads of lines, stalls crossed with a store that holds back, every malformed stream."""

import os
from collections.abc import Callable

import cocotb
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from models.stream import Packet, line_packet
from tests.blocks.stream_ends import line_source, set_stalls
from verif.shared.stalls import NO_STALLS, STALLS
from verif.shared.structs import struct
from verif.sim.env.axi_stream import frame_of
from verif.sim.kit import Sink, block_test, start
from verif.sim.seed import rng

LINE, COMMAND, STATUS = struct("line_write_t"), struct("act_cmd_t"), struct("act_status_t")


class Bench:
    """Drives the commands, the stream and the store's readiness; records lines, done and error pulses."""

    def __init__(self, dut):
        self.dut, self.gen, self.width = dut, rng(), int(os.environ["StreamBytes"])
        self.source = line_source(dut)
        self.store = Sink(dut, "lw", {"lw_line": LINE}, self.gen, lambda line: self.written.append(line))
        self.clear()
        cocotb.start_soon(self._watch())

    def clear(self):
        self.written, self.done, self.errors = [], [], []

    async def _watch(self):
        while True:
            await RisingEdge(self.dut.clk_i)
            status = self.status()
            await FallingEdge(self.dut.clk_i)  # what was taken at the rising edge is written by now
            if status["done"]:
                self.done.append(len(self.written))
            self.errors += [name for name, bit in status["err"].items() if bit]

    def status(self) -> dict:
        return STATUS.unpack(self.dut.status_o.value)

    # -- stimulus -------------------------------------------------------------------------------------------------

    def line(self, line_pos: int, density: float | None = None) -> tuple[int, bytes]:
        """A random line: bitmap and packed bytes."""
        density = self.gen.choice([0, 0.1, 0.5, 1]) if density is None else density
        bits = self.gen.random(line_pos) < density
        return sum(1 << i for i in range(line_pos) if bits[i]), self.gen.integers(1, 256, bits.sum(), "uint8").tobytes()

    def packet(self, bitmap: int, packed: bytes) -> Packet:
        """The line's packet, with random bytes where TKEEP is low."""
        packet = line_packet(bitmap, packed, self.width)
        data = []
        for beat, keep in zip(packet.beats, packet.keeps, strict=True):
            noise = int.from_bytes(self.gen.bytes(self.width), "little")
            mask = sum(0xFF << 8 * i for i in range(self.width) if keep >> i & 1)
            data.append(noise & ~mask | beat)
        return Packet(data, packet.keeps)

    def send(self, *packets: Packet):
        for packet in packets:
            self.source.send_nowait(frame_of(packet))

    def stall(self, stream, store):
        set_stalls(self.source, stream, self.gen)
        self.store.stalls = store

    async def command(self, idx_base: int, lines: int, base: int, limit: int, line_pos: int, flush: bool = False):
        dut = self.dut
        await FallingEdge(dut.clk_i)
        load = {"idx_base": idx_base, "lines": lines, "base": base, "limit": limit, "line_pos": line_pos}
        dut.cmd_i.value = COMMAND.pack({"start": 1, "flush": flush} | load)
        await FallingEdge(dut.clk_i)
        # What comes with the command is taken with it: what comes later must not matter.
        later = {name: int(self.gen.integers(1 << COMMAND.fields[name].width)) for name in load}
        dut.cmd_i.value = COMMAND.pack(later)

    async def flush(self):
        await FallingEdge(self.dut.clk_i)
        self.dut.cmd_i.value = COMMAND.pack({"flush": 1})
        await FallingEdge(self.dut.clk_i)
        self.dut.cmd_i.value = 0

    async def settle(self):
        """Until the source has sent everything and the last line is written."""
        await self.source.wait()
        quiet = 0
        while quiet < 6:  # longer than a beat takes to the store
            await FallingEdge(self.dut.clk_i)
            quiet = 0 if self.dut.lw_valid_o.value else quiet + 1

    # -- checks ---------------------------------------------------------------------------------------------------

    def check_written(self, idx_base: int, base: int, lines: list[tuple[int, bytes]]) -> int:
        """Compare with what was written; returns the first unused word."""
        assert len(self.written) == len(lines)
        for number, (found, (bitmap, packed)) in enumerate(zip(self.written, lines, strict=True)):
            words = -(-len(packed) // 8)
            want = {"idx_addr": idx_base + number, "ptr": base, "bitmap": bitmap, "words": words}
            assert {key: found[key] for key in want} == want
            assert found["bytes"] == int.from_bytes(packed, "little"), f"bytes of line {number}"
            base += words
        assert self.status()["used_end"] == base
        return base

    def check_idle(self):
        assert not any(self.status()[name] for name in ("busy", "discard", "err_info"))
        assert self.dut.s_axis_tready.value == 0 and self.dut.lw_valid_o.value == 0

    async def good_load(self, lines: list[tuple[int, bytes]], line_pos: int, spare: int = 0, flush: bool = False):
        """A load into a section that its lines fill up to `spare` words."""
        idx_base, base = (int(v) for v in self.gen.integers(2**20, size=2))
        limit = base + sum(-(-len(packed) // 8) for _, packed in lines) + spare
        self.clear()
        await self.command(idx_base, len(lines), base, limit, line_pos, flush)
        assert self.status()["busy"] and not self.status()["discard"]
        self.send(*(self.packet(*line) for line in lines))
        await self.settle()
        assert self.check_written(idx_base, base, lines) == limit - spare
        assert self.done == [len(lines)], "done comes once, with the last write"
        assert not self.errors
        self.check_idle()

    async def bad_load(
        self, good: int, packet: Packet, cause: str, line_pos: int = 64, section: int | None = None, flush_start=False
    ):
        """After `good` lines send `packet`: expect `cause`, garbage swallowed, recovery.

        The section has room for the good lines and `section` words; None: plenty.
        """
        lines = [self.line(line_pos) for _ in range(good)]
        idx_base, base = (int(v) for v in self.gen.integers(2**20, size=2))
        used = sum(-(-len(packed) // 8) for _, packed in lines)
        self.clear()
        await self.command(idx_base, good + 3, base, base + used + (100 if section is None else section), line_pos)
        self.send(*(self.packet(*line) for line in lines), packet)
        await self.settle()
        self.send(*(self.packet(*self.line(64)) for _ in range(3)), Packet([3], [0]))
        await self.settle()
        self.check_written(idx_base, base, lines)
        assert self.errors == [cause]
        assert not self.done
        status = self.status()
        assert status["err_info"] == good
        assert status["discard"] and not status["busy"] and self.dut.s_axis_tready.value == 1
        if not flush_start:
            await self.flush()
            self.check_idle()
        await self.good_load([self.line(line_pos) for _ in range(3)], line_pos, flush=flush_start)


@block_test(us=100)
async def loads(dut):
    """Random lines of every size in a section that they fill exactly, all stalls of stream and store crossed."""
    await start(dut)
    bench = Bench(dut)
    for stream in STALLS:
        for store in STALLS:
            bench.stall(stream, store)
            for _ in range(3):
                line_pos = int(bench.gen.choice([1, 8, 64, bench.gen.integers(1, 65)]))
                lines = [bench.line(line_pos) for _ in range(int(bench.gen.integers(1, 12)))]
                await bench.good_load(lines, line_pos, spare=int(bench.gen.integers(3)))


@block_test(us=20)
async def every_population(dut):
    """Lines with 0 to 64 non-zeros, and a load of empty lines into an empty section."""
    await start(dut)
    bench = Bench(dut)
    lines = []
    for count in range(65):
        bits = bench.gen.choice(64, count, replace=False).tolist()
        lines.append((sum(1 << b for b in bits), bench.gen.integers(1, 256, count, "uint8").tobytes()))
    await bench.good_load(lines, 64)
    await bench.good_load([(0, b"")] * 5, 3)


@block_test(us=20)
async def full_rate(dut):
    """Without stalls one beat is taken every cycle, but a line takes two."""
    await start(dut)
    bench = Bench(dut)
    for density in (0, 1):
        packets = [bench.packet(*bench.line(64, density)) for _ in range(40)]
        cycles = sum(max(2, len(packet.beats)) for packet in packets)
        bench.clear()
        await bench.command(0, 40, 0, 400, 64)
        bench.send(*packets)
        for _ in range(cycles + 6):
            await FallingEdge(dut.clk_i)
        assert bench.done == [40]


@block_test(us=5)
async def idle_takes_nothing(dut):
    """Beats wait while there is no load; flush without a fault does nothing, in a load either."""
    await start(dut)
    bench = Bench(dut)
    line = bench.line(64, 0.5)
    bench.send(bench.packet(*line))
    for _ in range(10):
        await FallingEdge(dut.clk_i)
        assert dut.s_axis_tready.value == 0
    await bench.flush()
    bench.check_idle()
    await bench.command(4, 1, 9, 20, 64)
    await bench.flush()
    await bench.settle()
    bench.check_written(4, 9, [line])
    assert bench.done == [1] and not bench.errors


def _cut(packet: Packet, beats: int) -> Packet:
    return Packet(packet.beats[:beats], packet.keeps[:beats])


def _with_keep(packet: Packet, beat: int, change: Callable[[int], int]) -> Packet:
    keeps = list(packet.keeps)
    keeps[beat] = change(keeps[beat])
    return Packet(packet.beats, keeps)


@block_test(us=2000)
async def malformed(dut):
    """Each malformed stream after none and after some good lines, stalls of the stream and the store crossed."""
    await start(dut)
    bench = Bench(dut)
    width = bench.width
    full = (1 << width) - 1
    for number, (stream, store) in enumerate((a, b) for a in STALLS for b in STALLS):
        bench.stall(stream, store)
        good = number % 3
        flush_start = number % 2 == 1
        line = bench.packet(*bench.line(64, 1))  # 64 bytes: whole beats
        odd_count = int(bench.gen.integers(1, width))
        odd = bench.packet((1 << odd_count) - 1, bytes(range(1, odd_count + 1)))  # one beat, not full
        empty = bench.packet(0, b"")
        extra = Packet(empty.beats * 2, [0xFF, full])

        await bench.bad_load(good, _cut(line, 1), "tlast_early")
        if len(line.beats) > 2:
            await bench.bad_load(good, _cut(line, len(line.beats) - 1), "tlast_early", flush_start=flush_start)
        await bench.bad_load(good, extra, "tlast_late")
        await bench.bad_load(good, Packet(line.beats + [1], line.keeps + [1]), "tlast_late", flush_start=flush_start)
        for change in (
            lambda keep: 0x7F,
            lambda keep: 0,
            lambda keep: 0xFE,
            lambda keep: 0x1FF & full if width > 8 else 1,
        ):
            await bench.bad_load(good, _with_keep(line, 0, change), "population")
        for change in (
            lambda keep: keep >> 1,
            lambda keep: 0,
            lambda keep: keep ^ 1,
            lambda keep: keep ^ 1 << width // 2,
        ):
            await bench.bad_load(
                good, _with_keep(line, int(bench.gen.integers(1, len(line.beats))), change), "population"
            )
        for change in (lambda keep: keep << 1 | 1, lambda keep: keep >> 1, lambda keep: keep << 1):
            await bench.bad_load(good, _with_keep(odd, 1, change), "population")
        line_pos = int(bench.gen.integers(1, 64))
        for bit in {line_pos, 63}:
            await bench.bad_load(good, bench.packet(1 << bit, b"\1"), "bitmap", line_pos=line_pos)
        await bench.bad_load(good, bench.packet(1, b"\1"), "overflow", section=0)
        await bench.bad_load(good, line, "overflow", section=7, flush_start=flush_start)


@block_test(us=20)
async def several_faults_in_a_beat(dut):
    """The first cause in the documented order, alone."""
    await start(dut)
    bench = Bench(dut)
    await bench.bad_load(1, Packet([1 << 40], [0x7F]), "population", line_pos=40, section=0)
    await bench.bad_load(1, Packet([1 << 40], [0xFF]), "bitmap", line_pos=40, section=0)
    await bench.bad_load(1, Packet([1], [0xFF]), "overflow", line_pos=40, section=0)
    line = bench.packet(*bench.line(64, 1))
    if len(line.beats) > 2:
        await bench.bad_load(1, _with_keep(_cut(line, 2), 1, lambda keep: 1), "tlast_early")
    late = Packet(line.beats + [0], line.keeps[:-1] + [1, 1])
    await bench.bad_load(1, late, "tlast_late")


@block_test(us=5)
async def reset_in_a_load(dut):
    """A reset forgets a half line and discard; the next load is right."""
    await start(dut)
    bench = Bench(dut)
    bench.stall(NO_STALLS, NO_STALLS)
    for faulty in (False, True):
        await bench.command(5, 9, 0, 100, 64)
        packet = bench.packet(*bench.line(64, 1))
        bench.send(_cut(packet, 1) if faulty else packet)
        for _ in range(2 if not faulty else 6):
            await FallingEdge(dut.clk_i)
        assert bench.status()["discard"] == faulty
        dut.rst_ni.value = 0
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        await FallingEdge(dut.clk_i)
        bench.check_idle()
        await bench.good_load([bench.line(64) for _ in range(4)], 64)


@block_test(us=400)
async def cancelled(dut):
    """cancel ends a load in discard wherever it is, unless only its last line waits; no line is written in part."""
    await start(dut)
    bench = Bench(dut)
    ended = set()
    for stream, store in ((NO_STALLS, NO_STALLS), (STALLS[1], STALLS[1]), (NO_STALLS, STALLS[-1])):
        for wait in range(0, 60, 3):
            bench.stall(stream, store)
            lines = [bench.line(20, density) for density in (1, 0, 0.2, 0.5)]
            bench.clear()
            await bench.command(7, len(lines), 30, 99, 20)
            bench.send(*(bench.packet(*line) for line in lines))
            for _ in range(wait):
                await FallingEdge(dut.clk_i)
            busy = bench.status()["busy"]
            dut.cmd_i.value = COMMAND.pack({"cancel": 1})
            await FallingEdge(dut.clk_i)
            dut.cmd_i.value = 0
            status = bench.status()
            discard = bool(status["discard"])
            assert busy or not discard
            assert discard or len(bench.written) >= len(lines) - 1
            await bench.settle()
            assert not bench.errors and bool(bench.done) == (not discard)
            assert discard or len(bench.written) == len(lines)
            bench.check_written(7, 30, lines[: len(bench.written)])
            ended.add(discard)
            if discard:
                bench.send(bench.packet(*bench.line(20)))
                await bench.settle()
                assert bench.status()["discard"]
                await bench.flush()
            bench.check_idle()
            await bench.good_load([bench.line(30) for _ in range(2)], 30)
    assert ended == {False, True}


@pytest.mark.parametrize("width, sim", [(8, "verilator"), (16, "verilator"), (64, "verilator"), (8, "icarus")])
def test_activation_loader(run_block, width, sim):
    run_block("spcore_activation_loader", {"StreamBytes": width}, sim=sim)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="StreamBytes = 12, expected 8, 16, 32 or 64"):
        run_block("spcore_activation_loader", {"StreamBytes": 12})
