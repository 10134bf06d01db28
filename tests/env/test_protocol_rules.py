# SPDX-License-Identifier: Apache-2.0
"""The protocol rules of verif/hdl: traffic that keeps them passes, and each rule is broken once and has to say so."""

import json
import os

import pytest
from cocotb.clock import Clock
from cocotb.handle import Immediate
from cocotb.triggers import FallingEdge

from verif.host.runner import SimulationFailure
from verif.shared.paths import ROOT
from verif.sim.kit import block_test

# A case is a list of changes of the inputs, one a cycle; before them all are 0 but rst_ni.
OFFER = {"tvalid": 1, "tdata": 5, "tkeep": 0x0F, "tlast": 1}
TAKE, END = {"tready": 1}, {"tvalid": 0, "tready": 0}
WITHDRAWALS = {
    "TVALID fell before TREADY": {"tvalid": 0},
    "TDATA changed before TREADY": {"tdata": 6},
    "TKEEP changed before TREADY": {"tkeep": 0x07},
    "TLAST changed before TREADY": {"tlast": 0},
}
STREAM = [(message, [OFFER, {}, change]) for message, change in WITHDRAWALS.items()] + [
    ("TVALID in reset", [{"rst_ni": 0}, OFFER]),
    ("TKEEP 05 is not contiguous from bit 0", [OFFER | {"tkeep": 0x05}]),
    ("TKEEP 00 is not contiguous from bit 0", [OFFER | {"tkeep": 0x00}]),
    # An offer that only began when the reset of one side was over.
    ("TVALID fell before TREADY", [{"cut": 1}, {"cut": 0}, OFFER, {}, {"tvalid": 0}]),
]
CUTS = [step for change in WITHDRAWALS.values() for step in (OFFER, {"cut": 1}, change, {"tvalid": 0}, {"cut": 0})]
STREAM_LEGAL = [
    OFFER,
    {},
    TAKE,
    END,
    OFFER | TAKE,
    {"tdata": 6, "tkeep": 0xFF},
    END,
    OFFER,
    {"tvalid": 0, "rst_ni": 0},
    {"rst_ni": 1},
    *CUTS,
]

AW, W, AR = ({f"{channel}valid": 1, f"{channel}ready": 1} for channel in ("aw", "w", "ar"))
WRITTEN, READ = [AW | W, {"awvalid": 0, "wvalid": 0}], [AR, {"arvalid": 0}]
LITE = [
    (f"{channel.upper()} changed before {channel.upper()}READY", [*before, {f"{channel}valid": 1}, {}, change])
    for channel, before, changes in (
        ("aw", [], ({"awvalid": 0}, {"awaddr": 4})),
        ("w", [], ({"wvalid": 0}, {"wdata": 4}, {"wstrb": 1})),
        ("b", WRITTEN, ({"bvalid": 0}, {"bresp": 2})),
        ("ar", [], ({"arvalid": 0}, {"araddr": 4})),
        ("r", READ, ({"rvalid": 0}, {"rresp": 2}, {"rdata": 4})),
    )
    for change in changes
] + [
    ("write response without a request", [{"bvalid": 1}]),
    ("write response without a request", [AW, {"awvalid": 0}, {"bvalid": 1}]),
    ("write response without a request", [W, {"wvalid": 0}, {"bvalid": 1}]),
    ("write response without a request", [*WRITTEN, {"bvalid": 1, "bready": 1}, {}]),
    ("read response without a request", [{"rvalid": 1}]),
]
LITE_LEGAL = [
    {"awvalid": 1, "wvalid": 1},
    {},
    {"awready": 1, "wready": 1},
    {"awvalid": 0, "wvalid": 0},
    {"bvalid": 1},
    {},
    {"bready": 1},
    {"bvalid": 0},
    {"arvalid": 1},
    {},
    {"arready": 1},
    {"arvalid": 0},
    {"rvalid": 1},
    {},
    {"rready": 1},
    {"rvalid": 0},
]
STREAM_LINES = {"CheckKeep": 1}


@block_test(us=5)
async def play(dut):
    """The changes of the environment variable STEPS."""
    for name in dir(dut):
        if name.endswith(("_i", "_ni")):
            getattr(dut, name).set(Immediate(0))  # before anything is evaluated: a random clk_i may be an edge
    Clock(dut.clk_i, 10, "ns").start(start_high=False)
    for step in ({}, {"rst_ni": 1}, {}, *json.loads(os.environ["STEPS"]), {}, {}):
        for name, value in step.items():
            getattr(dut, name if name == "rst_ni" else f"{name}_i").value = value
        await FallingEdge(dut.clk_i)


@pytest.fixture
def play_on(run_block):
    def play_on(top, steps, parameters=None):
        run_block(
            top,
            parameters,
            testcase="play",
            extra_sources=[ROOT / "verif" / "hdl" / f"{top}.sv"],
            env={"STEPS": json.dumps(steps)},
        )

    return play_on


def test_legal_traffic(play_on):
    play_on("axis_protocol", STREAM_LEGAL, STREAM_LINES)
    play_on("axil_protocol", LITE_LEGAL)


@pytest.mark.parametrize("message, steps", STREAM)
def test_stream_rule_fails(play_on, message, steps):
    with pytest.raises(SimulationFailure, match=message):
        play_on("axis_protocol", steps, STREAM_LINES)


@pytest.mark.parametrize("message, steps", LITE)
def test_lite_rule_fails(play_on, message, steps):
    with pytest.raises(SimulationFailure, match=message):
        play_on("axil_protocol", steps)
