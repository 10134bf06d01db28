# SPDX-License-Identifier: Apache-2.0
"""A banked memory as one of its requesters sees it: takes requests at a rate, answers in order after a latency."""

from collections import deque
from collections.abc import Callable

import numpy as np

from verif.shared.structs import struct

REQ, RSP = struct("mem_req_t"), struct("mem_rsp_t")
LATENCY = 3  # cycles from a request that is taken to its word


class MemoryPort:
    """One requester's port; ``drive`` at the falling edge and ``sample`` at the rising edge, once a cycle each."""

    def __init__(self, dut, name: str, gen: np.random.Generator):
        """On the requester's ports `<name>_req_o`, `<name>_rsp_i` and `<name>_rdata_i`; ``name`` "" for plain ones."""
        self.req, self.rsp, self.rdata = (
            getattr(dut, f"{name}_{port}" if name else port) for port in ("req_o", "rsp_i", "rdata_i")
        )
        self.gen, self.width = gen, len(self.rdata)
        self.reset()

    def reset(self) -> None:
        """Forget what is under way and drive an idle port."""
        self.now, self.gnt = 0, False
        self.answers: deque[tuple[int, int]] = deque()  # (cycle, word)
        self.rsp.value = self.rdata.value = 0

    def drive(self, rate: float) -> None:
        """Take a request in this cycle with probability ``rate``; give the answer that is due, which comes later at
        lower rates."""
        self.gnt = bool(self.gen.random() < rate)
        answer = bool(self.answers) and self.answers[0][0] <= self.now and self.gen.random() < max(rate, 0.3)
        word = self.answers.popleft()[1] if answer else int.from_bytes(self.gen.bytes(self.width // 8), "little")
        self.rsp.value = RSP.pack({"gnt": self.gnt, "rvalid": answer})
        self.rdata.value = word

    def sample(self, word_at: Callable[[int], int]) -> int | None:
        """The address that is taken in this cycle, if one is; ``word_at`` gives its word."""
        self.now += 1
        flat = self.req.value
        if not (self.gnt and flat[REQ.width - 1]):
            return None
        address = REQ.unpack(flat)["addr"]
        self.answers.append((self.now + LATENCY - 1, word_at(address)))
        return address

    @property
    def valid(self) -> bool:
        """Whether a request stands."""
        return bool(self.req.value[REQ.width - 1])

    @property
    def urgent(self) -> bool:
        """Whether the requester calls itself urgent."""
        return bool(self.req.value[REQ.width - 2])

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return not self.answers
