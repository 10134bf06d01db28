"""line_writer: places of lines, fair turns, job ends and overflow, with stalls on every side."""

import os
from collections import deque

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

LAYER, DERIVED, PACKED, LINE = (struct(f"{name}_t") for name in ("layer", "derived", "packed_line", "line_write"))


async def start(dut) -> int:
    cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
    for port in (dut.layer_i, dut.derived_i, dut.start_i, dut.line_valid_i, dut.line_i, dut.lw_ready_i):
        port.value = 0
    dut.rst_ni.value = 0
    await FallingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    return int(os.environ["NumSp"])


def random_line(gen, number: int) -> dict:
    count = int(gen.choice([0, 64, gen.integers(65)]))
    return {
        "job": number & 0xFFFF,
        "channel": int(gen.integers(2**16)),
        "out_line": int(gen.integers(2**24)),
        "job_end": bool(gen.integers(2)),
        "bitmap": (1 << count) - 1,
        "count": count,
        "bytes": int.from_bytes(gen.integers(1, 256, count).astype("u1").tobytes(), "little"),
    }


async def run(dut, gen, lines: int, words: int, valid_rate: float, ready_rate: float) -> int:
    """A layer whose output section has `words` words; returns the cycles until all lines were taken."""
    sps = int(os.environ["NumSp"])
    layer = {"out_idx_base": int(gen.integers(2**24)), "out_act_base": int(gen.integers(2**20))}
    layer["out_act_limit"] = layer["out_act_base"] + words
    out_lines = int(gen.integers(2**16))
    dut.layer_i.value, dut.derived_i.value = LAYER.pack(layer), DERIVED.pack({"out_lines": out_lines})
    dut.start_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.start_i.value = 0
    queues = [deque(random_line(gen, i) for i in range(sp, lines, sps)) for sp in range(sps)]
    accepted: deque[tuple[int, dict]] = deque()  # (streaming processor, line), in the order of acceptance
    valid = [False] * sps
    next_word, overflowed, overflows, cycles, turn = layer["out_act_base"], False, 0, 0, sps - 1
    while any(queues) or accepted:
        for sp in range(sps):
            valid[sp] = valid[sp] or (bool(queues[sp]) and gen.random() < valid_rate)
        dut.line_valid_i.value = sum(v << sp for sp, v in enumerate(valid))
        dut.line_i.value = sum(PACKED.pack(queues[sp][0]) << (PACKED.width * sp) for sp in range(sps) if valid[sp])
        dut.lw_ready_i.value = gen.random() < ready_rate
        await RisingEdge(dut.clk_i)
        ready, job_done = int(dut.line_ready_o.value), int(dut.job_done_o.value)
        job_ids = int(dut.job_done_id_o.value) if job_done else 0
        lw_valid, overflow = bool(dut.lw_valid_o.value), bool(dut.overflow_o.value)
        written = LINE.unpack(dut.lw_line_o.value) if lw_valid and dut.lw_ready_i.value else None
        assert dut.line_written_o.value == (written is not None)
        bytes_written = int(dut.line_bytes_o.value) if written else 0
        await FallingEdge(dut.clk_i)
        overflows += overflow
        finished = None
        if written:
            assert not overflowed
            sp, line = finished = accepted.popleft()
            assert written == {
                "idx_addr": (layer["out_idx_base"] + line["channel"] * out_lines + line["out_line"]) % 2**24,
                "ptr": next_word,
                "bitmap": line["bitmap"],
                "words": -(-line["count"] // 8),
                "bytes": line["bytes"],
            }
            assert bytes_written == line["count"]
            next_word += written["words"]
            assert next_word <= layer["out_act_limit"]
        elif accepted and not lw_valid:
            words_needed = -(-accepted[0][1]["count"] // 8)
            assert overflowed or next_word + words_needed > layer["out_act_limit"], "a line that fits was dropped"
            assert overflow != overflowed, "the first line that does not fit says so, and only it"
            overflowed = True
            finished = accepted.popleft()
        else:
            assert not overflow
        if finished and finished[1]["job_end"]:
            assert job_done == 1 << finished[0]
            assert job_ids >> (16 * finished[0]) & 0xFFFF == finished[1]["job"]
        else:
            assert job_done == 0
        takers = [sp for sp in range(sps) if valid[sp] and ready >> sp & 1]
        assert len(takers) <= 1
        for sp in takers:
            assert sp == min((i for i in range(sps) if valid[i]), key=lambda i: (i - turn - 1) % sps)
            turn = sp
            accepted.append((sp, queues[sp].popleft()))
            valid[sp] = False
        cycles += 1
        assert cycles < 100 * lines, "stuck"
    assert overflows == overflowed
    return cycles


@cocotb.test()
async def random_lines(dut):
    await start(dut)
    gen = rng()
    for valid_rate in (0.2, 1):
        for ready_rate in (0.2, 1):
            await run(dut, gen, 200, 1 << 20, valid_rate, ready_rate)


@cocotb.test()
async def overflow(dut):
    """Sections that end in the middle of a line, at its end, or have no room at all; the next layer is not touched."""
    await start(dut)
    gen = rng()
    for words in (0, 1, 7, 8, 9, 50, 200):
        await run(dut, gen, 60, words, 0.7, 0.7)
        await run(dut, gen, 10, 1 << 20, 1, 1)


@cocotb.test()
async def full_throughput(dut):
    """A line a cycle."""
    await start(dut)
    assert await run(dut, rng(), 100, 1 << 20, 1, 1) <= 101


@pytest.mark.parametrize("sim, sps", [("verilator", 1), ("verilator", 2), ("verilator", 3), ("icarus", 2)])
def test_line_writer(sim, sps):
    run_block("spcore_line_writer", {"NumSp": sps}, sim=sim)
