# SPDX-License-Identifier: Apache-2.0
"""Drives the PEs of the plain dense machine through the steps of a file, and checks their sums."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from cocotb.triggers import FallingEdge

from verif.shared.dense_windows import STEPS, DenseSteps
from verif.sim.kit import block_test, start

_LATENCY = 2  # from a step to its sums


def _packed(values: np.ndarray) -> int:
    return int.from_bytes(values.tobytes(), "little")


@block_test(us=50)
async def steps(dut: Any) -> None:
    """A window after the other without gaps; the sums of each stand before those of the next begin."""
    given = DenseSteps.load(Path(os.environ[STEPS]))
    await start(dut)
    count = given.activations.shape[1]
    feed = [(n, step) for n in range(len(given.sums)) for step in range(count)]
    for number, (window, step) in enumerate([*feed, *[(len(given.sums), step) for step in range(_LATENCY)]]):
        dut.valid_i.value = int(number < len(feed))
        if number < len(feed):
            dut.first_i.value = int(step == 0)
            dut.act_i.value = _packed(given.activations[window, step])
            dut.weight_i.value = _packed(given.weights[window, step])
        if window and step == _LATENCY - 1:
            found = np.frombuffer(int(dut.sum_o.value).to_bytes(given.sums[0].nbytes, "little"), np.int32)
            wrong = np.flatnonzero(found != given.sums[window - 1].ravel())
            assert not len(wrong), f"window {window - 1}: sums {wrong} are {found[wrong]}"
        await FallingEdge(dut.clk_i)
