# SPDX-License-Identifier: Apache-2.0
"""What tests of blocks share: a start, sources and sinks, scoreboards, and bounds in simulated time."""

from verif.sim.kit.bounds import block_test, bounded
from verif.sim.kit.expected import Scoreboard
from verif.sim.kit.handshake import Sink, Source
from verif.sim.kit.start import PERIOD_NS, start

__all__ = ["PERIOD_NS", "Scoreboard", "Sink", "Source", "block_test", "bounded", "start"]
