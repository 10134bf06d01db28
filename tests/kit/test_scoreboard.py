# SPDX-License-Identifier: Apache-2.0
"""A scoreboard passes when something was expected, and all of it came in order, and nothing else."""

import pytest

from verif.host.runner import SimulationFailure
from verif.sim.kit import Scoreboard, block_test


@pytest.fixture
def words():
    return Scoreboard("word")


def test_all_in_order_passes(words):
    words.expect(1, 2)
    words.expect({"a": 3})
    for item in (1, 2, {"a": 3, "b": 4}):
        words.take(item)
    words.check()
    assert words.came == 3 and not words.due


def test_it_starts_as_failed(words):
    with pytest.raises(AssertionError, match="word: nothing was expected"):
        words.check()


def test_a_missing_item_fails(words):
    words.expect(1, 2, 3)
    words.take(1)
    with pytest.raises(AssertionError, match="word 1: never came, expected 2; 2 are missing"):
        words.check()


def test_a_wrong_item_fails(words):
    words.expect(1, {"a": 1, "b": 2})
    words.take(1)
    with pytest.raises(AssertionError, match="word 1: b: got 3, expected 2"):
        words.take({"a": 1, "b": 3})


def test_the_wrong_order_fails(words):
    words.expect(1, 2)
    with pytest.raises(AssertionError, match="word 0: got 2, expected 1"):
        words.take(2)


def test_one_too_many_fails(words):
    words.expect(1)
    words.take(1)
    with pytest.raises(AssertionError, match="word 1: got 2, expected nothing more"):
        words.take(2)


@block_test(us=1)
async def forgotten(dut):
    """A scoreboard that nobody looks at."""
    Scoreboard("word").expect(1)


@block_test(us=1)
async def idle(dut):
    Scoreboard("word")


@block_test(us=1)
async def waits_in_vain(dut):
    words = Scoreboard("word")
    words.expect(1)
    await words.complete()


@block_test(us=1)
async def of_another_test(dut):
    """What an earlier test left behind does not matter."""
    words = Scoreboard("word")
    words.expect(1)
    words.take(1)
    await words.complete()


@pytest.mark.parametrize(
    "testcase, message",
    [
        ("forgotten", "word 0: never came, expected 1"),
        ("idle", "word: nothing was expected"),
        ("waits_in_vain", r"not done after 1 us(.|\n)*await words.complete\(\)"),
    ],
)
def test_a_test_ends_with_its_scoreboards(run_block, testcase, message):
    with pytest.raises(SimulationFailure, match=message) as failure:
        run_block("spcore_fifo", testcase=[testcase, "of_another_test"])
    assert "of_another_test failed" not in str(failure.value)
