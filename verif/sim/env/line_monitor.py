# SPDX-License-Identifier: Apache-2.0
"""Every line that is written into the Activation Memory, watched passively and compared when it is written.

Sections are used again and again in a run, so that reading a tensor out afterwards would come too late.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cocotb.triggers import RisingEdge, ValueChange
from pyuvm import uvm_analysis_port, uvm_component

from models.lines import WORD_BYTES
from verif.shared.structs import struct
from verif.sim.env.conclusions import Conclusion, LinesDue, LinesOver, Reset, RunFailed, RunOver
from verif.sim.env.device import device

_LAYOUT = struct("line_write_t")
_FIELDS = _LAYOUT.fields
_ENTRY, _POINTER = _FIELDS["idx_addr"].offset, _FIELDS["ptr"].offset  # the two uppermost; below them is the content
_POINTER_MASK, _CONTENT_MASK = (1 << _FIELDS["ptr"].width) - 1, (1 << _POINTER) - 1
_LINE_OCTETS = _FIELDS["bytes"].width // 8


def line_content(bitmap: int, words: int, octets: int) -> int:
    """The content of a LineWrite; octets: its bytes, the first in bits 7:0."""
    return bitmap << _FIELDS["bitmap"].offset | words << _FIELDS["words"].offset | octets << _FIELDS["bytes"].offset


def _of_content(content: int, name: str) -> int:
    return content >> _FIELDS[name].offset & (1 << _FIELDS[name].width) - 1


class LineWrite(NamedTuple):
    """A line as the core writes it; content: bitmap, number of words and bytes, as they lie in line_write_t."""

    entry: int
    first_word: int
    content: int


class LineMonitor(uvm_component):
    """Publishes each LineWrite when the activation store takes it, of whichever writer. Python sleeps in between."""

    def build_phase(self):
        self.ap = uvm_analysis_port("ap", self)

    async def run_phase(self):
        store = device().u_activation_store
        take, line = store.take, store.line
        edge, changes = RisingEdge(device().clk_i), ValueChange(take)
        await RisingEdge(device().rst_ni)  # before the first reset they mean nothing
        while True:
            await edge
            if take.value:
                flat = int(str(line.value), 2)  # int() of the value itself takes longer, and there are many lines
                self.ap.write(LineWrite(flat >> _ENTRY, flat >> _POINTER & _POINTER_MASK, flat & _CONTENT_MASK))
            else:
                await changes


@dataclass
class _Pointer:
    """Where the next line's bytes go, in a section."""

    word: int


@dataclass
class _Batch:
    """Lines that are due together; `left` of them are to come."""

    due: LinesDue
    left: int
    pointer: _Pointer


@dataclass(frozen=True)
class _Line:
    batch: _Batch
    packed: bytes
    words: int
    content: int

    def fits(self, found: LineWrite) -> bool:
        """Whether a line is this one, at its place."""
        return found.content == self.content and (not self.words or found.first_word == self.batch.pointer.word)

    def difference(self, found: LineWrite) -> str:
        """What is wrong with the content of a line."""
        bitmap, expected = (_of_content(content, "bitmap") for content in (found.content, self.content))
        if bitmap != expected:
            return f"bitmap {bitmap:#018x}, expected {expected:#018x}"
        size, octets = len(self.packed), _of_content(found.content, "bytes").to_bytes(_LINE_OCTETS, "little")
        for place in range(size):
            if octets[place] != self.packed[place]:
                return f"byte {place} is {octets[place]:#04x}, expected {self.packed[place]:#04x}"
        if any(octets[size:]):
            return f"{octets[size:].hex()} behind its {size} bytes, expected zeros"
        return f"{_of_content(found.content, 'words')} words, expected those of {size} bytes"


class LineChecker:
    """The comparison itself, without a simulator: feed it conclusions and lines.

    fail: hears of what is wrong, as a kind and a text; written: of each line that was due, and how many of those that
    are due with it are left.
    `digest` and `compared`: of the lines so far; `due`: those to come, by index entry.
    """

    def __init__(
        self, fail: Callable[[str, str], None], written: Callable[[LinesDue, int], None] = lambda due, left: None
    ):
        self.fail, self.written = fail, written
        self.digest = hashlib.sha256()
        self.compared = 0
        self.due: defaultdict[int, deque[_Line]] = defaultdict(deque)
        self._pointers: dict[int, _Pointer] = {}  # by section, of the last layer whose output it is
        # What else is written is not known: a run goes to its end after an error, or a reset is under way.
        self._failed = self._resetting = False

    def conclude(self, conclusion: Conclusion) -> None:
        """What the predictor publishes."""
        match conclusion:
            case LinesDue(entries=entries, bitmaps=bitmaps, packed=packed):
                self._resetting = False
                batch = _Batch(conclusion, len(entries), self._pointer(conclusion))
                for entry, bitmap, octets in zip(entries, bitmaps, packed, strict=True):
                    words = -(-len(octets) // WORD_BYTES)
                    content = line_content(bitmap, words, int.from_bytes(octets, "little"))
                    self.due[entry].append(_Line(batch, octets, words, content))
            case LinesOver():
                for queue in self.due.values():
                    while queue and not queue[0].batch.due.complete:
                        queue.popleft()
            case RunFailed():
                self._failed = True
            case RunOver() if self._failed:
                self._failed = False
                self.due.clear()
            case Reset():
                self._failed, self._resetting = False, True
                self.due.clear()

    def _pointer(self, due: LinesDue) -> _Pointer:
        """Layers that append to what is not complete share the pointer: two are open at a time."""
        shared = self._pointers.get(due.section) if due.appended and due.section is not None else None
        # Nothing is written behind a section that overflowed.
        pointer = shared if shared and due.first <= due.limit else _Pointer(due.first)
        if due.section is not None:
            self._pointers[due.section] = pointer
        return pointer

    def line(self, found: LineWrite) -> None:
        """A line that the core writes."""
        flat = found.entry << _ENTRY | found.first_word << _POINTER | found.content
        self.digest.update(flat.to_bytes(-(-_LAYOUT.width // 8), "little"))
        queue = self.due[found.entry]
        # Of a section that overflows some lines stay out.
        while queue and not queue[0].batch.due.complete and not queue[0].fits(found):
            queue.popleft()
        if not queue:
            if not (self._failed or self._resetting):
                self.fail("line", f"index entry {found.entry} is written although nothing is due there")
            return
        expected = queue.popleft()
        batch, self.compared = expected.batch, self.compared + 1
        words = expected.words
        if found.content != expected.content:
            self._wrong(found, batch, expected.difference(found))
            words = _of_content(found.content, "words")
        if words:
            self._place(found, words, batch)
        batch.left -= 1
        self.written(batch.due, batch.left)

    def _place(self, found: LineWrite, words: int, batch: _Batch) -> None:
        pointer = batch.pointer
        if found.first_word != pointer.word:
            self._wrong(found, batch, f"its bytes go to word {found.first_word}, expected {pointer.word}")
        pointer.word = found.first_word + words
        if pointer.word > batch.due.limit:
            self._wrong(found, batch, f"its bytes reach to word {pointer.word}, the section to {batch.due.limit}")

    def _wrong(self, found: LineWrite, batch: _Batch, what: str) -> None:
        self.fail("line", f"index entry {found.entry} of {batch.due.what}: {what}")

    @property
    def missing(self) -> list[str]:
        """Lines that never came; known when nothing is under way."""
        found = [(entry, line) for entry, queue in self.due.items() for line in queue if line.batch.due.complete]
        if not found:
            return []
        entry, line = found[0]
        return [f"missing: {len(found)} lines were never written, such as index entry {entry} of {line.batch.due.what}"]
