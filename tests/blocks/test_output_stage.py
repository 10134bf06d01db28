# SPDX-License-Identifier: Apache-2.0
"""output_stage: whole layers from accumulators to lines, with Python as the PEs, the memories and the scheduler."""

import os
from collections import deque

import numpy as np
import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.contexts import Contexts
from tests.blocks.output_jobs import PARAM, Job, LayerOfJobs
from verif.shared.structs import struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

LINE = struct("line_write_t")
REQ, ROW = struct("drain_req_t"), struct("drain_row_t")
READ_REQ, READ_RSP = struct("line_read_req_t"), struct("line_read_rsp_t")
LATENCY = 3  # cycles from a grant to the PE's first row


def parameters() -> dict[str, int]:
    return {name: int(os.environ[name]) for name in ("NumPe", "NumLanes", "NumSp", "SpLanes", "NumStage")}


class Pe:
    """A PE as the output stage sees it: computes each of its units for some cycles, asks, hands over its rows."""

    def __init__(self) -> None:
        self.units: deque[tuple[Job, int, int]] = deque()  # job, unit, cycles until it asks
        self.rows: deque | None = None
        self.wait = 0

    def request(self) -> bool:
        return bool(self.units) and self.units[0][2] <= 0 and self.rows is None

    def asks(self) -> dict:
        job, unit, _ = self.units[0]
        return {"valid": self.request(), "unit": job.info, "last_row": len(job.rows[unit]) - 1}

    def step(self, granted: bool) -> tuple[int, int, int] | None:
        """One cycle; the (row, last, data) that it then drives, if any."""
        if granted:
            assert self.request(), "granted without a request"
            job, unit, _ = self.units[0]
            self.rows = deque(job.rows[unit])
            self.wait = LATENCY - 1
            self.sent = 0
        elif self.units and self.rows is None:
            job, unit, left = self.units[0]
            self.units[0] = job, unit, left - 1
        if self.rows is None:
            return None
        self.wait -= 1
        if self.wait >= 0:
            return None
        data = int.from_bytes(self.rows.popleft().tobytes(), "little")
        row, self.sent, last = self.sent, self.sent + 1, not self.rows
        if last:
            self.rows = None
            self.units.popleft()
        return row, int(last), data


class Bench:
    """Runs layers on the DUT and checks every line."""

    def __init__(self, dut, gen) -> None:
        self.dut, self.gen, self.p = dut, gen, parameters()
        self.contexts, self.jobs = Contexts(dut, gen), 0

    def layer(self, **fixed) -> LayerOfJobs:
        """The next random layer, in the context that is its turn."""
        ctx = 1 - self.contexts.latest
        work = LayerOfJobs(self.gen, self.p["NumLanes"], ctx, self.jobs, 3000 * ctx, **fixed)
        self.contexts.latest, self.jobs = ctx, self.jobs + len(work.jobs)
        return work

    async def run(
        self,
        *works: LayerOfJobs,
        delay,
        ready_rate: float = 1.0,
        per_pe: int = 2,
        overflow: bool = False,
    ) -> list[int]:
        """A layer, or one behind another whose jobs are still open. `delay(job, unit)`: cycles that a unit computes.
        Returns the cycles in which jobs ended."""
        dut, p, work = self.dut, self.p, works[0]
        jobs = {job.number: job for work in works for job in work.jobs}
        for n, work in enumerate(works):
            self.contexts.show(work.layer, work.derived, work.ctx)
            dut.start_i.value, dut.restart_i.value, dut.oldest_i.value = 1 << work.ctx, n == 0, works[0].ctx
            await FallingEdge(dut.clk_i)
        dut.start_i.value = dut.restart_i.value = 0
        for _ in range(20):
            await FallingEdge(dut.clk_i)
        pes = [Pe() for _ in range(p["NumPe"])]
        waiting = deque((job, unit) for work in works for job in work.jobs for unit in range(work.layer["splits"]))
        done: dict[int, int] = {}  # job -> cycle
        oldest = oldest_seen = works[0].jobs[0].number
        next_word, overflowed, written = {work.ctx: work.layer["out_act_base"] for work in works}, False, 0
        par = [0] * p["NumSp"]
        # Residual lines: one is answered a cycle, some time after its request, in the order of requests.
        coming: deque[tuple[int, dict]] = deque()  # streaming processor, line
        res_read = 0
        bank_bits = 4 * p["NumLanes"] * 32
        last_line: int | None = None  # bytes of the line written in the last cycle
        cycle = idle = 0
        while len(done) < len(jobs):
            for pe in sorted(pes, key=lambda pe: len(pe.units)):
                if waiting and len(pe.units) < per_pe:
                    job, unit = waiting.popleft()
                    pe.units.append((job, unit, delay(job, unit)))
            dut.drain_req_i.value = sum(REQ.pack(pe.asks()) << (REQ.width * i) for i, pe in enumerate(pes) if pe.units)
            dut.lw_ready_i.value = self.gen.random() < ready_rate
            dut.par_i.value = sum(value << (PARAM.width * i) for i, value in enumerate(par))
            dut.oldest_job_i.value = oldest_seen
            dut.oldest_i.value = jobs[min(oldest_seen, max(jobs))].info["ctx"]
            answer = coming.popleft() if coming and self.gen.random() < ready_rate else None
            reader = int(self.gen.integers(p["NumSp"]))  # may ask
            dut.lr_rsp_i.value = READ_RSP.pack({"gnt": 1}) << READ_RSP.width * reader | (
                READ_RSP.pack({"rvalid": 1} | answer[1]) << READ_RSP.width * answer[0] if answer else 0
            )
            await RisingEdge(dut.clk_i)
            request = str(dut.lr_req_o.value)[::-1][READ_REQ.width * reader :][: READ_REQ.width][::-1]  # X before any
            if request[0] == "1":
                address = READ_REQ.unpack(int(request, 2))["idx_addr"]
                owner = next(work for work in works if any(address in job.res_lines for job in work.jobs))
                coming.append((reader, owner.residual_line(address)))
                res_read += 1
            granted = int(dut.drain_gnt_o.value)
            reads, job_done = int(dut.par_re_o.value), int(dut.job_done_o.value)
            addresses = str(dut.par_addr_o.value)[::-1]  # bits; X for one that never read
            job_ids = int(dut.job_done_id_o.value) if job_done else 0
            fire = dut.lw_valid_o.value & dut.lw_ready_i.value
            line = LINE.unpack(dut.lw_line_o.value) if fire else None
            assert dut.line_written_o.value == (last_line is not None), "a line is counted a cycle later"
            if last_line is not None:
                assert dut.line_bytes_o.value == last_line
            last_line = None
            new_overflow = int(dut.overflow_o.value)
            line_ctx = int(dut.line_ctx_o.value) if job_done or new_overflow else None
            await FallingEdge(dut.clk_i)
            cycle, idle = cycle + 1, idle + 1
            if granted:
                idle = 0
            for i in range(p["NumSp"]):
                if reads >> i & 1:
                    address = int(addresses[24 * i : 24 * i + 24][::-1], 2)
                    owner = next(w for w in works if 0 <= address - w.layer["par_base"] < w.layer["out_k"])
                    par[i] = owner.parameter(address)
            if line:
                idle = 0
                written += 1
                assert not overflowed, "a line after the overflow"
                owner = next((w for w in works if any(line["idx_addr"] in job.open_lines for job in w.jobs)), None)
                assert owner, f"line {line['idx_addr']} is not expected (any more)"
                last_line = self.check_line(owner, line, next_word[owner.ctx])
                next_word[owner.ctx] += line["words"]
                assert next_word[owner.ctx] <= owner.layer["out_act_limit"]
            if new_overflow:
                assert overflow and not overflowed and new_overflow == 1 << line_ctx
                overflowed = True
            oldest_seen = oldest
            for i in range(p["NumSp"]):
                if job_done >> i & 1:
                    job = jobs[job_ids >> (16 * i) & 0xFFFF]
                    assert job.number not in done and job.info["ctx"] == line_ctx
                    assert overflowed or not job.open_lines, f"job {job.number} is done without lines {job.open_lines}"
                    done[job.number] = cycle
                    while oldest in done:
                        oldest += 1
            rows = data = sending = 0
            for i, pe in enumerate(pes):
                out = pe.step(bool(granted >> i & 1))
                if out is not None:
                    rows |= ROW.pack({"valid": 1, "row": out[0], "last": out[1]}) << (ROW.width * i)
                    data |= out[2] << (bank_bits * i)
                    sending += 1
            assert sending <= p["NumSp"], "a drain for each streaming processor"
            dut.drain_row_i.value, dut.drain_data_i.value = rows, data
            assert idle < 3000, f"stuck: {len(done)} of {len(jobs)} jobs done, {len(waiting)} units not begun"
        assert res_read == sum(len(job.res_lines) for job in jobs.values())
        assert overflowed == overflow
        if not overflow:
            assert written == sum(len(job.lines) for job in jobs.values())
        for _ in range(5):
            await RisingEdge(dut.clk_i)
            assert not dut.lw_valid_o.value and not dut.job_done_o.value and not dut.drain_gnt_o.value
            await FallingEdge(dut.clk_i)
        return sorted(done.values())

    def check_line(self, work: LayerOfJobs, line: dict, next_word: int) -> int:
        """Compare a line with its job; returns its bytes."""
        owner = next(job for job in work.jobs if line["idx_addr"] in job.open_lines)
        want = owner.lines[line["idx_addr"]]
        owner.open_lines.remove(line["idx_addr"])
        packed = want[want != 0]
        assert line["ptr"] == next_word, "lines follow one another in the output section"
        assert line["bitmap"] == sum(1 << int(b) for b in np.flatnonzero(want))
        assert line["words"] == -(-len(packed) // 8)
        assert line["bytes"].to_bytes(64, "little") == packed.tobytes().ljust(64, b"\0")
        return len(packed)


async def drawn(dut, layers):
    """Draws again and again the layers that run together; PEs finish in any order, the write port stalls."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    for _ in range(int(os.environ["Layers"])):
        slowest = int(gen.choice([1, 30, 300]))
        await bench.run(
            *layers(bench),
            delay=lambda job, unit, slowest=slowest: int(gen.integers(slowest)),
            ready_rate=float(gen.choice([1.0, 0.5, 0.15])),
        )


@block_test(us=1000)
async def random_layers(dut):
    """Any ratio, tile, K and number of splits."""
    await drawn(dut, lambda bench: [bench.layer()])


@block_test(us=2000)
async def two_layers(dut):
    """Jobs of a layer behind those of any other one, of one unit or many, in drains, slots and lines at a time."""

    def layers(bench):
        first = bench.layer()
        return first, bench.layer(tiles=(1, 1), chunks=1) if bench.gen.random() < 0.2 else bench.layer()

    await drawn(dut, layers)


@block_test(us=500)
async def kept_slots(dut):
    """Layers that continue the sums of the one before, as many as there are slots and fewer; the last writes lines."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    slots = bench.p["NumSp"] * bench.p["NumStage"]
    for _ in range(int(os.environ["Layers"])):
        chunks = int(gen.integers(1, slots + 1))
        tiles = int(gen.integers(1, slots // chunks + 1)), 1
        kept, parts = None, int(gen.integers(2, 4))
        for part in range(parts):
            kept = bench.layer(chunks=chunks, tiles=tiles, kept=kept, keeps=part < parts - 1)
            await bench.run(kept, delay=lambda job, unit: int(gen.integers(30)), ready_rate=0.7)
    # What is kept and not continued is in nobody's way.
    await bench.run(bench.layer(chunks=slots, tiles=(1, 1), keeps=True), delay=lambda job, unit: 0)
    await bench.run(bench.layer(tiles=(3, 3), chunks=3), delay=lambda job, unit: 0)


@block_test(us=240)
async def every_tile_shape(dut):
    """The largest tile of each ratio as one row, one column and a square, with partial tiles at both borders."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    for ratio, shapes in enumerate(
        [[(1, 64), (64, 1), (8, 8)], [(1, 64), (64, 1), (8, 8)], [(1, 32), (32, 1), (4, 8)]]
    ):
        for h, w in shapes:
            work = bench.layer(ratio=ratio, tile_h=h, tile_w=w, tiles=(2, 2), chunks=1)
            await bench.run(work, delay=lambda job, unit: 0)


@block_test(us=120)
async def oldest_job_comes_last(dut):
    """Units of younger jobs want slots while the oldest job's are late, and others wait behind those."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    for splits in (2, 3, 5):
        work = bench.layer(tile_w=4, tile_h=1, tiles=(2, 8), chunks=1, splits=splits)
        await bench.run(work, delay=lambda job, unit: 300 if job.number % 8 == 0 else 0, per_pe=3)


@block_test(us=160)
async def overflow(dut):
    """The section is too small: one overflow, nothing written past it, all jobs complete, then recovery."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    for words in (0, 1, 9, 40):
        work = bench.layer(
            tile_w=16,
            tile_h=2,
            tiles=(2, 2),
            chunks=2,
            ratio=1,
            splits=2,
            words=words,
            clamp=(1, 255),  # no value is 0, so every line needs room
        )
        await bench.run(work, delay=lambda job, unit: 0, ready_rate=0.7, overflow=True)
        await bench.run(bench.layer(tiles=(1, 2)), delay=lambda job, unit: 0)


@block_test(us=320)
async def throughput(dut):
    """Units always ready, no stalls: the streaming processors take SpLanes positions a cycle, all of the time."""
    gen = rng()
    await start(dut)
    bench = Bench(dut, gen)
    p = bench.p
    for ratio, (h, w) in enumerate([(1, 64), (1, 64), (1, 32)]):
        work = bench.layer(
            ratio=ratio,
            tile_h=h,
            tile_w=w,
            tiles=(6, 4),
            chunks=1,
            out_k=p["NumLanes"] << ratio,
            splits=1,
            full_tiles=True,
            residual=False,
        )
        ends = await bench.run(work, delay=lambda job, unit: 0)
        measured = (ends[-1] - ends[7]) * p["NumSp"] / (len(ends) - 8)  # cycles a job takes a streaming processor
        lines = p["NumLanes"] << ratio
        beats = max(1, h * w // p["SpLanes"]) * lines
        rows = h * w // (4 >> ratio)
        # Limits: positions a cycle; the drains, one after the other for each streaming processor; one line a cycle from
        # all streaming processors; and a slot, which is filled and read in turn.
        limit = max(beats, rows, lines * p["NumSp"], (rows + beats + 17) / p["NumStage"])
        dut._log.info(
            f"ratio {1 << ratio}: {measured:.1f} cycles a job and streaming processor, limit {limit}, {beats} beats"
        )
        assert 0.9 * limit <= measured <= 1.03 * limit + 1
        if (p["SpLanes"], p["NumSp"], p["NumStage"], lines * h * w) == (32, 2, 6, 2048) and ratio == 1:
            assert 64 <= measured <= 70


@pytest.mark.parametrize(
    "sim, pes, lanes, sps, sp_lanes, stages, layers",
    [
        ("verilator", 4, 4, 2, 8, 2, 25),
        ("verilator", 4, 4, 1, 16, 2, 15),
        ("verilator", 8, 8, 2, 16, 1, 10),
        ("verilator", 4, 16, 2, 32, 6, 5),
        ("verilator", 4, 16, 3, 64, 3, 5),
        ("icarus", 4, 4, 2, 8, 2, 1),
    ],
)
def test_output_stage(run_block, sim, pes, lanes, sps, sp_lanes, stages, layers):
    run_block(
        "spcore_output_stage",
        {"NumPe": pes, "NumLanes": lanes, "NumSp": sps, "SpLanes": sp_lanes, "NumStage": stages},
        sim=sim,
        env={"Layers": str(layers)},
        # The generated Verilog is slow on Icarus.
        testcase=["random_layers", "two_layers", "kept_slots", "overflow"] if sim == "icarus" else None,
    )


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"NumLanes": 12}, "NumLanes = 12, expected a power of two from 4 to 64"),
        ({"NumLanes": 4, "SpLanes": 32}, "SpLanes = 32, expected a power of two from 8"),
        ({"NumSp": 1, "NumStage": 1}, "NumSp . NumStage = 1, expected at least 2"),
    ],
)
def test_parameter_check(run_block, parameters, message):
    with pytest.raises(RuntimeError, match=message):
        run_block("spcore_output_stage", parameters)
