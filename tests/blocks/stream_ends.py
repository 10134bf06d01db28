# SPDX-License-Identifier: Apache-2.0
"""What the tests of the blocks with AXI4-Streams share: sources and sinks that stall."""

from cocotbext.axi import AxiStreamSink, AxiStreamSource

from verif.shared.stalls import Stalls
from verif.sim.env.axi_stream import LineBus, VectorBus


def vector_source(dut) -> AxiStreamSource:
    """Source on the stream of weight vectors, s_axis."""
    return _connect(AxiStreamSource, VectorBus, "s_axis", dut)


def line_source(dut) -> AxiStreamSource:
    """Source on a stream of lines, s_axis; TKEEP of each beat in the frame's tuser."""
    return _connect(AxiStreamSource, LineBus, "s_axis", dut)


def line_sink(dut) -> AxiStreamSink:
    """Sink on a stream of lines, m_axis."""
    return _connect(AxiStreamSink, LineBus, "m_axis", dut)


def _connect(model, bus, prefix, dut):
    return model(bus.from_prefix(dut, prefix), dut.clk_i, reset=dut.rst_ni, reset_active_level=False, byte_lanes=1)


def set_stalls(end, stalls: Stalls, rng) -> None:
    """Let a source or sink hold back as `stalls` says from now on."""
    end.clear_pause_generator()
    end.pause = False
    pauses = stalls.pauses(rng)
    if pauses is not None:
        end.set_pause_generator(pauses)
