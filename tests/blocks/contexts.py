# SPDX-License-Identifier: Apache-2.0
"""Two layers may be open: what stands at the ports layer_i and derived_i of a block."""

from collections.abc import Mapping

from verif.shared.structs import Struct, struct

LAYER, DERIVED = struct("layer_t"), struct("derived_t")


def anything(gen, kind: Struct) -> int:
    """Any value of a struct."""
    return int.from_bytes(gen.bytes(-(-kind.width // 8)), "little") % (1 << kind.width)


class Contexts:
    """Shows a block two layers; where none was shown stands anything, so that a wrong choice is seen."""

    def __init__(self, dut, gen) -> None:
        self.dut, self.gen = dut, gen
        self.layers = [anything(gen, LAYER), anything(gen, LAYER)]
        self.derived = [anything(gen, DERIVED), anything(gen, DERIVED)]
        self.latest = 1

    def show(self, layer: Mapping, derived: Mapping | None = None, ctx: int | None = None) -> int:
        """A layer in context `ctx`, or in the one that was not shown last; returns which."""
        ctx = 1 - self.latest if ctx is None else ctx
        self.latest = ctx
        self.layers[ctx] = LAYER.pack(layer)
        self.dut.layer_i.value = self.layers[1] << LAYER.width | self.layers[0]
        if derived is not None:
            self.derived[ctx] = DERIVED.pack(derived)
            self.dut.derived_i.value = self.derived[1] << DERIVED.width | self.derived[0]
        return ctx
