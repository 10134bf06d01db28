# SPDX-License-Identifier: Apache-2.0
"""The tests on netlists can fail: with one cell of another kind in a block's netlist its own test says so."""

from pathlib import Path

import pytest

from verif.host.runner import SimulationFailure, build, run, sources_of
from verif.host.synth.gates import gate_level

BLOCK, PARAMETERS = "spcore_bank_arbiter", {"Groups": 4, "EntryW": 2}


@pytest.mark.parametrize("sim", ["gates"])
@pytest.mark.parametrize("right, wrong", [("NAND2X1", "NOR2X1"), ("OAI21X1", "AOI21X1")])
def test_a_wrong_cell_fails(right: str, wrong: str, sim: str, tmp_path: Path, skip_without) -> None:
    """The first gate of a kind becomes another one."""
    skip_without(sim)
    design, cells = gate_level(BLOCK, sources_of(BLOCK), PARAMETERS, BLOCK)
    netlist = design.read_text()
    assert f"  {right} " in netlist
    changed = tmp_path / design.name
    changed.write_text(netlist.replace(f"  {right} ", f"  {wrong} ", 1))
    with pytest.raises(SimulationFailure, match="random_wants failed"):
        env = {name: str(value) for name, value in PARAMETERS.items()}
        run(build(BLOCK, [changed, cells], {}, "icarus"), "tests.blocks.test_bank_arbiter", env=env)
