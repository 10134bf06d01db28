# SPDX-License-Identifier: Apache-2.0
"""What was measured on the netlist of a PE, and the model that takes how often gates switch from it."""

import pytest

from models.energy import N14, N45
from models.study import netlist_power, silicon

NOT_MODELLED = ("data of flip-flops", "drain, queue of units, counters")


def test_the_model_is_within_a_fifth_of_the_netlist_where_it_says_something():
    for mode in netlist_power.load():
        found, modelled = mode.found(), mode.modelled(measured=True)
        assert found.keys() == modelled.keys()
        for item in ("multipliers", "accumulators, without memories"):
            assert modelled[item] == pytest.approx(found[item], rel=0.2), item
        parts = [item for item in found if item.startswith("decoding")]
        assert sum(modelled[p] for p in parts) == pytest.approx(sum(found[p] for p in parts), rel=0.2)
        assert modelled["clock"] == pytest.approx(found["clock"], rel=0.2)
        assert 0 < mode.gated < 1
        for item in NOT_MODELLED:
            assert modelled[item] == 0 and found[item] < 0.02 * sum(found.values())


def test_what_was_assumed_is_far_from_it():
    for mode in netlist_power.load():
        found, assumed = mode.found(), mode.modelled(measured=False)
        assert assumed["multipliers"] < found["multipliers"] / 2
        assert assumed["accumulators, without memories"] < found["accumulators, without memories"] / 2
        assert assumed["decoding: positions"] > found["decoding: positions"]


def test_counts_of_the_two_modes_agree_with_their_work():
    sparse, dense = netlist_power.load()
    assert set(sparse.units) == set(dense.units)
    for mode in (sparse, dense):
        assert 0 < mode.useful <= mode.multiplications <= mode.cycles * mode.lanes
    assert sparse.change == pytest.approx(dense.change, rel=0.1)


def test_more_is_switched_than_bare_arithmetic_takes():
    for technology in (N45, N14):
        assert min(netlist_power.beyond(technology, dense) for dense in (True, False)) > 0
    assert all(0 < netlist_power.activity(part) < 1 for part in silicon.DECODING)


def test_flip_flops_at_memories_are_clocked_in_a_part_of_the_cycles():
    for mode in netlist_power.load():
        assert set(mode.memories) == set(silicon.MEMORY) == set(silicon.flip_flops().memories)
        for unit in mode.memories.values():
            assert 0 < unit["clocked"] < unit["flip_flops"] * mode.cycles
    sparse, dense = netlist_power.load()
    for kind in silicon.MEMORY:
        shares = [m.memories[kind]["clocked"] / m.memories[kind]["flip_flops"] / m.cycles for m in (sparse, dense)]
        assert shares[0] == pytest.approx(shares[1], rel=0.1), kind  # both modes keep the memories as busy
        assert netlist_power.memory_clocks(kind) == pytest.approx(sum(shares) / 2)
    assert not netlist_power.plain().memories


def test_the_plain_dense_machine_is_a_multiplier_an_adder_and_a_register():
    plain, (_, dense) = netlist_power.plain(), netlist_power.load()
    assert plain.busy == plain.cycles and set(plain.units) == {"dense_pe"}
    # Sums of 32 bits and a weight for each lane, the digits of an activation.
    assert plain.lanes * 40 < plain.of("flip_flops") < plain.lanes * 40 + 32
    assert 8 < netlist_power.plain_clocks() < 12
    # Its multipliers have two new operands in each cycle, and the adders are as wide as the core's.
    each = plain.of("changes") / plain.multiplications
    assert each > netlist_power.changes(netlist_power.MULTIPLIERS)
    assert plain.useful == pytest.approx(plain.multiplications, rel=0.02)
    assert dense.useful == dense.multiplications
