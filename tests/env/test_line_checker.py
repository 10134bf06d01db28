# SPDX-License-Identifier: Apache-2.0
"""The checker of written lines, fed by hand: what is right passes in any order, and each kind of fault is found."""

from dataclasses import replace

import pytest

from verif.sim.env.conclusions import LinesDue, LinesOver, Reset, RunFailed, RunOver
from verif.sim.env.line_monitor import LineChecker, LineWrite, line_content
from verif.sim.env.program_words import Engine

PACKED = [b"\x05\x06", b"", bytes(range(1, 11))]
BITMAPS = [0b11, 0, (1 << 10) - 1]
DUE = LinesDue(Engine.LAYERS, "layer 2 of iteration 0", [7, 8, 9], BITMAPS, PACKED, first=100, limit=103)


class Fed:
    def __init__(self, *due):
        self.faults, self.left = [], []
        self.checker = LineChecker(
            lambda kind, text: self.faults.append(text), lambda due, left: self.left.append(left)
        )
        for conclusion in due or (DUE,):
            self.checker.conclude(conclusion)

    def write(self, number, word, **changes):
        """Line `number` of DUE, to a word."""
        octets, words = int.from_bytes(PACKED[number], "little"), -(-len(PACKED[number]) // 8)
        place = {"entry": 7 + number, "first_word": word}
        content = {"bitmap": BITMAPS[number], "words": words, "octets": octets}
        for name, value in changes.items():
            (place if name in place else content)[name] = value
        self.checker.line(LineWrite(**place, content=line_content(**content)))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_right_lines_pass_in_any_order(order):
    fed, word = Fed(), 100
    for number in order:
        fed.write(number, word)
        word += -(-len(PACKED[number]) // 8)
    assert not fed.faults and not fed.checker.missing
    assert fed.left == [2, 1, 0] and fed.checker.compared == 3


def test_a_place_used_again_is_compared_with_what_is_due_first():
    fed = Fed(DUE, replace(DUE, bitmaps=[1, 0, 0], packed=[b"\x09", b"", b""]))
    fed.write(0, 100)
    fed.write(0, 100, bitmap=1, octets=9)
    assert not fed.faults


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"bitmap": 1}, "bitmap 0x0000000000000001, expected 0x0000000000000003"),
        ({"octets": 0x0705}, "byte 1 is 0x07, expected 0x06"),
        ({"octets": 0x010605}, "behind its 2 bytes, expected zeros"),
        ({"words": 2}, "2 words, expected those of 2 bytes"),
        ({"first_word": 101}, "its bytes go to word 101, expected 100"),
        ({"entry": 6}, "index entry 6 is written although nothing is due there"),
    ],
)
def test_wrong_lines_are_found(changes, text):
    fed = Fed()
    fed.write(0, 100, **changes)
    assert text in fed.faults[0]


def test_a_section_has_an_end():
    fed = Fed(replace(DUE, limit=101))
    fed.write(2, 100)
    assert fed.faults == ["index entry 9 of layer 2 of iteration 0: its bytes reach to word 102, the section to 101"]


def test_missing_lines_are_named():
    fed = Fed()
    fed.write(0, 100)
    assert fed.checker.missing == [
        "missing: 2 lines were never written, such as index entry 8 of layer 2 of iteration 0"
    ]


def test_lines_of_a_full_section_may_stay_out():
    fed = Fed(replace(DUE, complete=False))
    fed.write(0, 100)
    assert not fed.checker.missing
    fed.checker.conclude(LinesOver())
    fed.checker.conclude(DUE)
    fed.write(2, 100)
    assert not fed.faults and fed.checker.missing


def test_after_an_error_lines_may_come_or_not():
    fed = Fed(DUE, RunFailed(Engine.WEIGHTS, 0, 3, "par_range"))
    fed.write(0, 100)
    fed.write(0, 100, entry=50)  # of a load that the model has given up
    assert not fed.faults
    fed.checker.conclude(RunOver())
    assert not fed.checker.missing
    fed.write(1, 100)
    assert fed.faults == ["index entry 8 is written although nothing is due there"]


def test_a_reset_forgets_what_is_due():
    fed = Fed(DUE, Reset("soft_reset"))
    assert not fed.checker.missing


def test_lines_of_two_layers_in_one_section():
    """They share the pointer, whose line ever comes; of another section they do not."""
    first = replace(DUE, limit=106, section=3)
    second = replace(DUE, entries=[17, 18, 19], first=103, limit=106, section=3, appended=True)
    third = replace(DUE, entries=[27, 28, 29], first=200, limit=203, section=4)
    fed = Fed(first, second, third)
    for number, entry, word in ((2, 0, 100), (0, 10, 102), (2, 20, 200), (0, 0, 103), (2, 10, 104), (0, 20, 202)):
        fed.write(number, word, entry=7 + number + entry)
    assert not fed.faults
    fed.checker.conclude(replace(second, entries=[37, 38, 39], first=106, limit=109))
    fed.write(0, 107, entry=37)
    assert fed.faults == ["index entry 37 of layer 2 of iteration 0: its bytes go to word 107, expected 106"]
