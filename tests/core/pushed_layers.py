# SPDX-License-Identifier: Apache-2.0
"""What tests of layers that the host pushes, one or several at a time, have in common."""

from models.descriptor import Descriptor
from models.tiling import Plan
from verif.shared.stimulus import random_stalls
from verif.sim.env.scenario import CoreTest
from verif.sim.env.sequences import FetchLines, PushLayer, WaitLayers, layer_cycles


class PushedLayersTest(CoreTest):
    async def run_all(self, *descriptors: Descriptor):
        """Push layers and wait for the end of all; raises CoreError where the core reports one."""
        for d in descriptors:
            await PushLayer(d).start(self.sequencer)
        await WaitLayers(sum(map(layer_cycles, descriptors))).start(self.sequencer)

    async def fetch(self, plan: Plan):
        """Fetch a layer's output, with stalls; it is compared."""
        d = plan.descriptor
        await FetchLines(d.out_idx_base, d.out_entries, random_stalls(self.rng)).start(self.sequencer)
