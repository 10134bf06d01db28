# SPDX-License-Identifier: Apache-2.0
"""Where a PE's regions lie, for the tests of its blocks: buffers in turn, counted in halves."""

from cocotb.triggers import ClockCycles, FallingEdge


class RegionRing:
    """A whole region takes the two halves of one buffer, so that one half may be left out before it; an idle PE starts
    over."""

    def __init__(self, buffers: int, region_pos: int) -> None:
        self.halves, self.region_pos = 2 * buffers, region_pos
        self.following = 0

    async def idle(self, dut, gen) -> None:
        """Now and then the PE has no unit for a while."""
        if gen.random() < 0.5:
            dut.idle_i.value = 1
            await ClockCycles(dut.clk_i, 2, FallingEdge)
            dut.idle_i.value = 0
            self.following = 0

    def cost(self, half: int) -> int:
        """Halves that the next region takes, with the one left out."""
        return 1 if half else 2 + self.following % 2

    def take(self, half: int) -> tuple[int, int]:
        """(half in which the next region begins, halves that it takes)."""
        cost = self.cost(half)
        end = self.following + cost
        self.following = end % self.halves
        return (end - (1 if half else 2)) % self.halves, cost

    def place(self, buffer: int, word: int) -> int:
        """Where a bitmap word lies among those of all buffers."""
        return buffer * self.region_pos // 128 + word
