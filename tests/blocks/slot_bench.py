# SPDX-License-Identifier: Apache-2.0
"""What surrounds a streaming processor, for tests of it and of its reader: staging slots and the Parameter Memory."""

import os

import numpy as np

from tests.blocks.contexts import Contexts
from tests.blocks.output_jobs import ROWS, Job, LayerOfJobs, skew, to_flat, unskew
from verif.shared.structs import struct

SLOT = struct("slot_info_t")


def slot_info(work: LayerOfJobs, job: Job) -> dict:
    """The fields of slot_info_t."""
    h, w, pitch = job.info["tile_h"], job.info["tile_w"], work.layer["tile_w"]
    mask = sum(1 << y * pitch + x for y in range(h) for x in range(w))
    first = job.info["chunk"] * work.derived["chunk_k"]
    address = work.layer["out_idx_base"] + first * work.layer["out_pitch"] + job.info["out_line"]
    carried = {"ctx": work.ctx, "job": job.number, "chunk": job.info["chunk"], "idx_addr": address}
    if work.layer.get("residual"):
        carried["res_addr"] = min(job.res_lines)
    return carried | {"npos": (h - 1) * pitch + w, "mask": mask}


class SlotBench:
    """Slots that hold jobs from `fill` until they are freed; `drive` and `observe` are called in every cycle."""

    def __init__(self, dut, gen) -> None:
        self.dut, self.gen = dut, gen
        self.stages = int(os.environ["NumStage"])
        self.banks = 4 * int(os.environ["NumLanes"])
        self.contexts = Contexts(dut, gen)
        self.works: dict[int, LayerOfJobs] = {}  # by context
        self.of: list[LayerOfJobs | None] = [None] * self.stages  # the layer of a slot's job
        self.jobs: list[Job | None] = [None] * self.stages
        self.taken = [False] * self.stages
        self.infos: list[int | None] = [None] * self.stages  # still to be told
        self.memory = gen.integers(0, 2**32, (self.stages, self.banks, ROWS), dtype=np.uint32)
        self.words = self.memory[0, :, 0].copy()  # read last
        self.par = self.oldest = 0
        self.run = True  # the DUT moves on, and may read
        self.tell_rate = 1.0  # how soon it is told what a slot holds
        self.telling: int | None = None
        self.drive()

    def set_layer(self, work: LayerOfJobs) -> None:
        """A layer in its context; the oldest one, until another value of `oldest` is set."""
        self.oldest = work.ctx
        self.works[work.ctx] = work
        self.contexts.show(work.layer, work.derived, work.ctx)

    @property
    def vacant(self) -> list[int]:
        return [stage for stage, job in enumerate(self.jobs) if job is None]

    @property
    def full(self) -> list[int]:
        return [stage for stage, job in enumerate(self.jobs) if job and not self.taken[stage]]

    @property
    def known(self) -> list[int]:
        """Full slots of which it was told what they hold."""
        return [stage for stage in self.full if self.infos[stage] is None]

    def fill(self, stage: int, job: Job) -> None:
        """Put a job, the sum of its units, into a vacant slot."""
        work = self.works[job.info["ctx"]]
        self.jobs[stage], self.of[stage], self.taken[stage] = job, work, False
        self.infos[stage] = SLOT.pack(slot_info(work, job))
        for row, words in enumerate(sum(job.rows)):
            self.memory[stage, np.arange(self.banks) ^ skew(row, self.banks), row] = words

    def drive(self) -> None:
        """Tell of at most one slot, at any time."""
        dut = self.dut
        dut.full_i.value = sum(1 << stage for stage in self.full)
        dut.words_i.value, dut.par_i.value = to_flat(self.words), self.par
        dut.run_i.value, dut.oldest_i.value = self.run, self.oldest
        untold = [stage for stage, info in enumerate(self.infos) if info is not None]
        self.telling = int(self.gen.choice(untold)) if untold and self.gen.random() < self.tell_rate else None
        dut.info_we_i.value = 0 if self.telling is None else 1 << self.telling
        anything = int.from_bytes(self.gen.bytes(32), "little") % (1 << SLOT.width)
        dut.info_i.value = anything if self.telling is None else self.infos[self.telling]

    def observe(self) -> tuple[int | None, int | None, int | None]:
        """What the DUT does in this cycle: the slot that it takes, reads and frees, if any."""
        dut = self.dut
        took, read, freed = (self._one(port) for port in (dut.take_o, dut.read_o, dut.free_o))
        assert took is None or took in self.known
        for stage in {read, freed} - {None}:
            assert self.jobs[stage] and (self.taken[stage] or stage == took), (
                f"slot {stage} is read or freed, but not taken"
            )
        assert dut.par_re_o.value == (read is not None)
        if not self.run:
            read = None
        if read is not None:
            variants = int(dut.read_row_o.value)
            low, high = variants & (ROWS - 1), variants >> ROWS.bit_length() - 1
            bits = unskew(np.arange(self.banks), self.banks)
            self.words = self.memory[read, np.arange(self.banks), low & ~bits | high & bits]
            self.par = self.of[read].parameter(int(dut.par_addr_o.value))
        if self.telling is not None:
            self.infos[self.telling] = None
        if took is not None:
            self.taken[took] = True
        if freed is not None:  # what it held may change from now on
            self.jobs[freed] = None
            self.memory[freed] = self.gen.integers(0, 2**32, self.memory[freed].shape, dtype=np.uint32)
        return took, read, freed

    @staticmethod
    def _one(port) -> int | None:
        flags = int(port.value)
        assert flags.bit_count() <= 1, f"{port._name} = {flags:b}"
        return flags.bit_length() - 1 if flags else None
