# SPDX-License-Identifier: Apache-2.0
"""Proofs of small modules, for all inputs: `make formal` runs these alone. What is proven stands in each harness."""

from pathlib import Path

import pytest

from verif.host.formal import Proof, ProofFailure, prove

HDL = Path(__file__).parent / "hdl"

PROOFS = (
    Proof("fifo_proof", {"Width": 2, "Depth": 3}, depth=12),
    Proof("fifo_proof", {"Width": 1, "Depth": 4}, depth=14),
    Proof("bank_arbiter_proof", {"Groups": 4}, depth=8),
    Proof("bank_arbiter_proof", {"Groups": 8}, depth=8),
    Proof("mem_proof", {"NumWords": 2, "DataWidth": 2, "PartWidth": 1}, depth=8),
    Proof("acc_quad_proof", {"NumBanks": 5, "NumRows": 2, "Width": 4, "ProductW": 2, "MaxW": 1}, depth=7),
    Proof("pe_sums_proof", {"NumPe": 4, "MacW": 1, "Context": 0}, depth=5),
    Proof("pe_sums_proof", {"NumPe": 5, "MacW": 1, "Context": 1}, depth=5),
)


def source(proof: Proof) -> tuple[Path, ...]:
    """The harness."""
    return (HDL / f"{proof.top}.sv",)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda p: "-".join([p.top, *map(str, p.parameters.values())]))
def test_proof(proof):
    prove(proof, source(proof))


@pytest.mark.parametrize(
    "last, claim, depth, reason",
    [
        (5, 4, 10, "violations in 10 cycles"),
        (4, 5, 10, "cover in 10 cycles"),
        (7, 5, 7, "not proven for ever"),
        (6, 6, 10, None),
    ],
    ids=["violated", "out of reach", "violated later", "holds"],
)
def test_a_proof_can_fail(last, claim, depth, reason):
    """A claim that is violated after five cycles, one about a state never reached, one violated later than followed."""
    proof = Proof("broken_proof", {"Last": last, "Claim": claim}, depth)
    if reason is None:
        prove(proof, source(proof))
    else:
        with pytest.raises(ProofFailure, match=reason):
            prove(proof, source(proof))


def test_sources_that_yosys_rejects(tmp_path):
    bad = tmp_path / "bad_proof.sv"
    bad.write_text("module bad_proof (input logic clk_i);\n  assign clk_i = nothing;\nendmodule\n")
    with pytest.raises(RuntimeError, match="Yosys rejects bad_proof"):
        prove(Proof("bad_proof", {}, 2), (bad,))
