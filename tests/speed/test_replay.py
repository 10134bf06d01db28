# SPDX-License-Identifier: Apache-2.0
"""The C++ replay reproduces a recorded cocotb run cycle by cycle, and notices when it does not."""

import json
import os

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from verif.host.runner import build, run, sources_of
from verif.host.speed.replay import ports_of, replay
from verif.shared.variables import MARKS_FILE, PORTS, TRACE_FILE
from verif.sim.kit import block_test
from verif.sim.programs.trace import Stopwatch
from verif.sim.seed import rng

PERIOD_NS = 10
CYCLES = 500


@block_test(us=20)
async def recorded(dut):
    """Random traffic through a fifo, driven after rising edges, with a reset in the middle."""
    ports = [tuple(port) for port in json.loads(os.environ[PORTS])]
    watch = Stopwatch(dut, dut.clk_i, PERIOD_NS * 1000, ports, record=True)
    watch.start()
    cocotb.start_soon(Clock(dut.clk_i, PERIOD_NS, "ns").start())
    gen = rng()
    dut.clear_i.value = 0
    for cycle in range(CYCLES):
        dut.rst_ni.value = cycle >= 3 and cycle != 200
        dut.valid_i.value = int(gen.integers(2))
        dut.ready_i.value = int(gen.integers(2))
        dut.data_i.value = int(gen.integers(2**63)) << 7
        if cycle in (100, 400):
            watch.mark(f"at{cycle}")
        await RisingEdge(dut.clk_i)
        if cycle % 7 == 0:
            await FallingEdge(dut.clk_i)  # asynchronous inputs are replayed as well
    watch.write()


def test_replay():
    design = build("spcore_fifo", sources_of("spcore_fifo"), {"Width": 70, "Depth": 4})
    ports = ports_of(design)
    assert ("data_i", 0, 9) in ports and ("level_o", 1, 1) in ports and ("clk_i", 0, 1) not in ports
    recorded_run = run(design, "tests.speed.test_replay", env={PORTS: json.dumps(ports)})
    trace = recorded_run.path / TRACE_FILE
    marks = json.loads((recorded_run.path / MARKS_FILE).read_text())
    assert marks["at400"][0] - marks["at100"][0] == 300
    good = replay(design, trace)
    assert good.mismatched == 0
    assert good.matched > CYCLES  # data, level and handshakes change about every cycle
    assert good.marks["at400"][0] - good.marks["at100"][0] == 300

    # A fifo that holds one word more behaves differently.
    deeper = build("spcore_fifo", sources_of("spcore_fifo"), {"Width": 70, "Depth": 5})
    assert replay(deeper, trace).mismatched > 0

    broken = trace.with_name("broken.trace")
    broken.write_bytes(trace.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match="middle of a record"):
        replay(design, broken)
