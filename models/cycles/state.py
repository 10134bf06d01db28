# SPDX-License-Identifier: Apache-2.0
"""Constants of the cycle model, and the arrays that its compiled functions work on.

Records of numpy are read and written as objects with attributes. Times are cycles; units, PEs, jobs and so on are
numbers from 0, and NONE is none of them. Queues in records are rings: ``x_first`` is the place of the first entry,
``x_count`` the number of entries.

Two layers may be open, in contexts 0 and 1, as in the core. Units and jobs of both are told apart by their lowest bit:
2 * the number within the layer + the context.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NONE = -1

# Pipeline latencies in cycles.
ACCESS = 2  # request to the access of a bank
OPEN = 2  # units can be given to PEs to when PEs are seen to be ready
BIND = 4 + ACCESS  # PE seen to be ready to the first index read of the unit that it gets
ENTRY = 6 + ACCESS  # index entry read to its line's first word
WORD = 4  # last word read to the line's last piece in the region loader
SLOT = 5 + ACCESS  # last word of a line read to the first of the line that takes its slot
REGION = 6  # last piece to the pass generator
SEGMENT = 6  # pass generated to its first emission
ADDRESS = 5 + ACCESS  # pass generated to the access for its vector
VECTOR = 2  # weight vector read to its pass's first emission
STAGES = 2  # from when a pass was generated that waits for room, to the last octet taken of the segment that makes it
URGENT = 3  # a PE waits to its requests going first in its group
RELEASE = 2  # last emission of a region to the first piece in its buffer, beyond the begin of a line
FLUSH = 2  # last emission to the drain request
CHOICE = 5  # drain request to its grant, by a streaming processor that waits for one
LOOKUP = 2  # more of it when the layer is split
GRANT = 5  # drain granted to its first row; the next grant is given in time for its rows to follow
TURN = 5  # between the choices of PEs; one less where the job has its slot
BEHIND = 5  # drain granted to the choice of the next one
SWITCH = 14  # of a streaming processor to slots of another layer
AHEAD = 1  # emissions resume so long before the last row is handed over
LINE = 16  # last values of a slot read to its last line written
KEPT = 4  # last row of a job that keeps its slot to the job's end
RESIDUAL_SEEN = 2  # last row of a slot to the choice of it, with a residual
RESIDUAL_ASKED = 5  # from there to the first request for a residual line
ENTRY_READ = 2  # its index entry read to that being seen
RESIDUAL_READY = 2  # its words read to the first values of the line that it is added to
RESIDUAL_LEFT = 5  # last values of that line to a request for another one in its place

# Depths of the PE's queues: constants of the RTL, which a test compares.
LINES = 5
WORDS = 4
PIECES = 5  # of a line, until their marks are written
ENTRIES = 12
HELD_LINES = 8  # residual lines of a streaming processor
LINE_REQUESTS = 2  # of lines, in the activation store
LINE_ENTRIES = 3  # read there, and on their way
LINE_HEADS = 2  # lines there whose words are read next
SEGMENTS = 4 + 1  # the scanner's, and the one that pass_generator holds back

# The memories, and the arbitration of each.
WEIGHTS, ACTIVATIONS, INDEX = range(3)
GROUPS = 16  # of PEs at a memory, at most
OFFERS = 2  # requests of a PE that wait in its group, and offers of a group
DRAIN_GROUPS = 8  # of PEs in the drain network, at most

# What events do: `kernel.run` says to whom. CYCLE + n is a cycle of memory n.
OPEN_LAYER, BIND_UNIT, LINE_LEFT, REQUEST_DRAIN, GRANT_DRAIN, FILL_SLOT, FREE_SLOT, FINISH_JOB = range(8)
READ_LINES, STEP_LINE, LEAVE_LINE, GIVE_UNIT, CYCLE = range(8, 13)

# Places of rings, powers of two.
AHEAD_WANTED = 16  # requests of a PE that are known in advance
KEPT_LINES = 8  # more than LINES
PASSES = 8  # more than SEGMENTS
RINGS = 16  # more than HELD_LINES
YEAR = 1024  # cycles that the calendar tells apart

# Sizes that nothing may exceed.
MAX_PES = 1024
MAX_GROUP = MAX_PES // GROUPS
MAX_HALVES = 64  # of a PE's regions
MAX_BANKS = 63
MAX_PORTS = 63  # streaming processors
MAX_SLOTS = 64  # of each
MAX_AHEAD = 1 << 16  # cycles from a drain's grant to its last line
MAX_EVENTS = 256 * MAX_PES  # to come

I8 = np.int64


def _record(*fields: str | tuple[Any, ...]) -> np.dtype[np.void]:
    """A record; fields by name are int64."""
    return np.dtype([(field, I8) if isinstance(field, str) else field for field in fields])


CORE = _record("pes", "ports")

LAYER = _record(  # of a context
    "units",
    "splits",
    "chunks",
    "group_chunks",
    "tile_rows",
    "taps",
    "segments",
    "tap_shared",
    "room",  # passes of a PE on their way to its scanner or in it
    "freeing",  # segments of a pass, up to the one that makes room for the first of the pass so many behind it
    "halves",  # of a buffer that a region takes
    "residual",
    "res_words",
    "res_idx_base",
    "res_pitch",
    "keeps",  # its jobs' slots
    "continues",  # those of the layer before
    "in_idx_base",
    "in_pitch",
    "out_idx_base",
    "out_pitch",
    "out_act_base",
    "out_words",
    "out_lines",  # of all channels
    # Progress
    "next_unit",
    "jobs_left",
    "oldest",  # job that is not done
    "out_word",  # the next one that is written, and what draws the next line's words; likewise of the residual
    "out_seed",
    "residual_word",
    "residual_seed",
    "end",  # so far
)

A_LINE = _record(  # a line on its way
    "time",  # from when on its index entry can be taken; later: when its last word was read, or NONE
    "first",  # word
    "words",
    "load",  # cycles in the region loader
    "pieces",  # that it cuts the line into
    "marks",  # cycles more that their marks take
    "channel",
    "unit",
    "last",  # of its channel
    "ends",  # its unit
)

A_REGION = _record(
    "time",  # when the pass generator can have it
    "unit",
    "channel",  # NONE for no region, only the end of a unit
    "ends",  # its unit
)

A_PASS = _record(
    "time",  # when its segment is with the scanner
    "emissions",
    "pause",  # before the next emission of the unit
    "taken",  # emissions before the last octet of the segment that makes room
    "release",  # halves of a region's buffer that it frees
    "unit",  # that it ends, or NONE
    "vector",  # when its weight vector is there, or NONE
)

A_PE = _record(
    # Line fetch: the unit's lines of which requests for index entries are not made yet, and have not been served
    "unit",
    "stop",  # behind its last channel
    "ask_channel",
    "ask_line",
    "entry_channel",
    "entry_line",
    # Index entries read and not taken, in Queues.entries
    "entries_first",
    "entries_count",
    "take_time",  # when the next one can be taken at the earliest
    "channel_open",  # whether a line of its channel was kept
    "fetching",  # words are asked for
    "next_line",  # the kept line whose words are asked for next, or NONE
    "next_time",  # and when
    "held",  # lines, until they have left the region loader
    ("lines", A_LINE, (KEPT_LINES,)),  # those that the loader has not seen
    "lines_first",
    "lines_count",
    # Region loader: when halves of region buffers became free; loaded ones, in Queues.regions
    ("buffers", I8, (MAX_HALVES,)),
    "free_first",
    "free_count",
    "load_time",
    "marked",  # when the marks of all pieces are written, had their way no length
    "region_open",
    "regions_first",
    "regions_count",
    # Pass generator: its region and what is left of its passes
    "region_time",  # when it had pass 0
    "generate_time",  # when it can have the next region
    "generating",
    "tap",  # of the next pass
    "last_tap",  # NONE without any pass
    "region_context",
    "region_tile",
    "region_channel",  # NONE for no region
    "vector",  # address of its first weight vector
    "vector_asked",
    "region_unit",  # that it ends, or NONE
    # Scanner: passes up to it; when the last octet was taken of the last ones' segments that make room
    ("passes", A_PASS, (PASSES,)),
    "passes_first",
    "passes_count",
    ("taken", I8, (PASSES,)),
    "started",  # passes
    "pause",  # before the next emission
    "scan_end",
    "waits",  # cycles in which it waited for a vector the last time: first one, and behind the last one
    "waited",
    "starves",  # likewise for a segment
    "starved",
    "draining",  # the unit that waits to be drained, or NONE
    "waiting",  # for a drain's grant
    "seeks",  # it can have a unit
    "idle",  # but there is none
    "without_unit",  # since when, at the end
)

A_REQUEST = _record("time", "address", "what")

REQUESTS = _record(  # of a PE to a memory
    ("wanted", A_REQUEST, (AHEAD_WANTED,)),  # in order: from when on, which address, and what it is for
    "wanted_first",
    "wanted_count",
    ("queue", A_REQUEST, (OFFERS,)),  # in the group, the first at 0
    "queue_count",
    "room",  # for so many requests more
    ("returns", I8, (AHEAD_WANTED,)),  # when there is room for another one
    "returns_first",
    "returns_count",
    "taken",  # found to have a request in this cycle
)

GROUP = _record(  # PEs that offer one request at a time to a memory
    ("members", I8, (MAX_GROUP,)),  # with something in their queue
    "members_count",
    "offers",
    ("address", I8, (OFFERS,)),
    ("bank", I8, (OFFERS,)),
    ("sharers", A_REQUEST, (OFFERS, MAX_GROUP)),  # PEs (address) that an offer is of, and what it is for
    ("sharers_count", I8, (OFFERS,)),
)

MEMORY = _record(
    "banks",
    "skewed",
    "group_size",
    "reads",
    "requests",
    "active",  # groups with members or offers, as bits
    "active_count",
    ("places", I8, (GROUPS // 2,)),  # see banks.join
    ("order", I8, (GROUPS,)),  # in which they are visited
    ("wanting", I8, (MAX_BANKS,)),  # which of these offer it an address, as bits
    ("winners", I8, (GROUPS,)),  # whose first offer is served
    ("last", I8, (MAX_BANKS,)),  # group that a bank served last
)

A_WRITE = _record(
    "time",
    "banks",  # that are written, as bits
)

EVENT = _record(
    "time",
    "kind",
    "argument",
    "next",  # in its bucket of the calendar, among asks of a cycle, or among free ones
    "first_ask",  # of a memory's cycle: PEs that may have a request
    "last_ask",
)

BUCKET = _record("first", "last")

CLOCK = _record("now", "pending", "free", "used")  # events: to come, and places that are free again or were ever used

PORT = _record(  # a streaming processor
    "slots",  # free ones
    "next",  # PE that is drained next, or NONE
    "choice",  # when the one behind it can be chosen
    "port_free",  # when it can take a drain
    "port_group",  # where the present one comes from
    "job",  # whose slot it reads, or NONE
    "line",  # that it reads next
    "free",  # when it can read it
    "next_job",  # whose slot is read then, or NONE
    ("full", I8, (MAX_SLOTS,)),  # slots that are neither, by job
    "full_count",
    "context",  # of the last one
    # Residual lines: of which job and line the next one is asked for, whether it is, and from when on; how many were
    # asked for, and read, and when these are there; how many output lines they were added to, how many have left
    "ask_job",
    "ask_line",
    "asks",
    "ask_time",
    "asked",
    "read",
    ("ready", I8, (RINGS,)),
    "stepped",
    "left",
    "ask_waits",  # for one to leave
    "step_waits",  # for one to be read
)

A_READ = _record("port", "entry", "first", "words", "time")  # of a residual line, and from when on it is seen

LINES_READ = _record(  # in the activation store
    "going",  # its next cycle is an event
    "turn",  # streaming processor that is heard next
    ("request", A_READ, (LINE_REQUESTS + 1,)),
    "requests",
    ("entry", A_READ, (LINE_ENTRIES + 1,)),
    "entries",
    ("head", A_READ, (LINE_HEADS,)),
    "heads",
)

JOB = _record(
    "port",  # whose slot it has, or NONE
    "units_left",  # to be drained
    "done",
)

TOTAL = _record(
    "oldest",  # context of the layer that ends first of those that are open
    "schedule_time",  # when the scheduler can give a unit
    "seekers",  # PEs that can have one
    "last_pe",  # chosen to be drained, for round robin
    "last_port",  # that one was chosen for
    "choice",  # when another one can be chosen
    "written",  # when the last line was
    "no_weight",
    "no_activation",
    "drained",
)

TILE = _record(
    "next",  # tile, in the scheduler's order
    "rows",  # of its accumulators
    "beats",  # cycles of an output line at its streaming processor
    "lines",  # that its window meets
    "begin",  # of these in Tables.numbers, and C times that in Tables.lines
    "pause",  # cycles between two emissions of its only position, whose accumulator takes a sum every other cycle
)

CHUNK = _record(
    "vector",  # address of its first weight vector, were the input channel 0
    "lines",  # output channels
)

SHARE = _record("first", "stop")  # input channels of a unit

A_FETCH = _record(  # of a line
    "first",  # word
    "words",
    "load",  # cycles in the region loader
    "pieces",  # that it cuts the line into
    "marks",  # cycles more that their marks take
)

STATE = _record(  # single values are arrays of one record
    ("core", CORE, (1,)),
    ("layers", LAYER, (2,)),  # by context
    ("clock", CLOCK, (1,)),
    ("total", TOTAL, (1,)),
    ("pes", A_PE, (MAX_PES,)),
    ("memories", MEMORY, (3,)),
    ("requests", REQUESTS, (3, MAX_PES)),
    ("groups", GROUP, (3, GROUPS)),
    ("writes", A_WRITE, (3, MAX_AHEAD)),  # by cycle
    ("asked", A_REQUEST, (MAX_PES,)),  # taken in a memory's cycle; of a PE (address)
    ("served", A_REQUEST, (MAX_PES,)),
    ("buckets", BUCKET, (YEAR,)),
    ("events", EVENT, (MAX_EVENTS,)),
    ("ports", PORT, (MAX_PORTS,)),
    ("lines", LINES_READ, (1,)),
)

Ints = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]


class Tables(NamedTuple):
    """What has the size of a layer."""

    tiles: Records  # (tiles,) TILE
    chunks: Records  # (chunks,) CHUNK
    shares: Records  # (groups, splits) SHARE
    numbers: Ints  # of the lines that each tile's window meets
    lines: Records  # (tile, C, line) A_FETCH
    emissions: Ints  # (tiles, C, taps)
    lasts: Ints  # (tiles, C, taps): of these, those of the last octet
    jobs: Records  # (jobs + 1,) JOB


class Queues(NamedTuple):
    """Of the PEs; what nothing is asked for takes no room, so that as many ends of units may wait for their turn."""

    entries: Records  # (PEs, places) A_LINE: index entries read and not taken
    regions: Records  # (PEs, places) A_REGION: loaded, for the pass generator


class Play(NamedTuple):
    """What the compiled functions work on, beside the state."""

    queues: Queues
    tables: tuple[Tables, Tables]  # by context
