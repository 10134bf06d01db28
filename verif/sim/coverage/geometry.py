# SPDX-License-Identifier: Apache-2.0
"""Coverage of geometry: planes, kernels, strides, padding, tiles, splits, number formats."""

from __future__ import annotations

import numpy as np

from verif.sim.coverage.bins import Ranges, cross, point
from verif.sim.coverage.sparsity import MODES
from verif.sim.env.layer_reference import LayerDone

LARGER = "larger"  # than 11 in some direction: pools
KERNELS = [*(f"{r}x{s}" for r in range(1, 12) for s in range(1, 12)), LARGER]
STRIDES = [f"{y}x{x}" for y in range(1, 5) for x in range(1, 5)]
PLANES = ("1x1", "one row", "one column", "narrower than a line", "64 wide", "wider than a line")
LINES = ("one row", "several rows", "part of a row")
TILES = Ranges(1, 2, 16, 32, 33, 64, last=64)
EDGES = ("none", "rows", "columns", "both")
SPLITS = Ranges(1, 2, 3, 5)
CHUNKS = Ranges(1, 2, 3)
CHANNELS = Ranges(1, 2, 8, 33)
SIDES = ("top", "bottom", "left", "right")
PADS = [str(n) for n in range(8)]
INSIDE = "inside"  # the first window begins in the plane
PITCHES = ("the lines", "more")  # index entries from a channel to the next
FORMATS = cross(["uint8", "int8"], ["uint8", "int8"])
RESIDUALS = cross(["none", "uint8", "int8"], ["uint8", "int8"], ["reset", "appended"])
SECTIONS = ("reset", "appended", "first append")
SLOTS = cross(["begun", "continued"], ["written", "kept"], ["fewer jobs than slots", "all slots"])
OPERATIONS = ("convolution", "sum pool", "max pool")
GROUPS = ("one group", "several", "fewer channels in the last")
REGIONS = ("whole", "half")
OUTPUTS = ("at the lower bound", "inside", "at the upper bound")


def plane_label(height: int, width: int) -> str:
    """The bin of PLANES."""
    if height == 1 or width == 1:
        return PLANES[0] if height == width else PLANES[1] if height == 1 else PLANES[2]
    return PLANES[3] if width < 64 else PLANES[4] if width == 64 else PLANES[5]


class GeometryCoverage:
    """Cover points under `geometry`."""

    def __init__(self, num_slots: int, region_pos: int):
        self.num_slots, self.region_pos = num_slots, region_pos
        self.kernel = point("geometry.kernel", KERNELS)
        self.stride = point("geometry.stride", STRIDES)
        self.pads = {side: point(f"geometry.pad_{side}", PADS + [INSIDE] * (side in ("top", "left"))) for side in SIDES}
        self.pitches = {end: point(f"geometry.{end}_pitch", PITCHES) for end in ("in", "out")}
        self.plane = point("geometry.plane", PLANES)
        self.line = point("geometry.input_line", LINES)
        self.tile = point("geometry.tile_positions", TILES.labels)
        self.regions = point("geometry.regions", REGIONS)
        self.edge = point("geometry.smaller_border_tiles", EDGES)
        self.splits = point("geometry.splits", SPLITS.labels)
        self.uneven = point("geometry.last_split", ["as large", "smaller", "no channel"])
        self.chunks = point("geometry.chunks", CHUNKS.labels)
        self.padded_k = point("geometry.last_chunk", ["full", "padded"])
        self.channels = point("geometry.input_channels", CHANNELS.labels)
        self.formats = point("geometry.number_formats", FORMATS)
        self.residual = point("geometry.residual_x_output_x_section", RESIDUALS)
        self.section = point("geometry.output_section", SECTIONS)
        self.slots = point(
            "geometry.slots_begun_x_left_x_jobs", [s for s in SLOTS if not s.startswith("begun/written")]
        )
        self.operations = point("geometry.operation_x_format_x_groups", cross(OPERATIONS, ["uint8", "int8"], GROUPS))
        self.skip = point("geometry.skip", ["on", "off"])
        self.outputs = point("geometry.outputs", OUTPUTS)
        self.kernel_stride = point("geometry.kernel_class_x_stride", cross(["1x1", "square", "unequal"], STRIDES))
        self.stride_pad = point("geometry.stride_x_padding", cross(STRIDES, ["none", "even", "uneven"]))
        self.mode_splits = point("geometry.mode_x_splits", cross(MODES, ["one unit", "split"]))
        self.mode_plane = point("geometry.mode_x_plane", cross(MODES, PLANES))
        self.mode_format = point("geometry.mode_x_formats", cross(MODES, FORMATS))

    def sample(self, layer: LayerDone) -> None:
        """Sample a layer that the core has taken."""
        d = layer.descriptor
        mode = f"{d.k}/{d.m}"
        stride = f"{d.y.stride}x{d.x.stride}"
        pads = dict(zip(SIDES, d.padding, strict=True))
        plane = plane_label(d.in_h, d.in_w)
        self.kernel.hit(LARGER if max(d.kernel_r, d.kernel_s) > 11 else f"{d.kernel_r}x{d.kernel_s}")
        self.stride.hit(stride)
        for side, pad in pads.items():
            self.pads[side].hit(str(pad) if pad >= 0 else INSIDE)
        self.pitches["in"].hit(PITCHES[d.in_pitch > d.in_lines])
        self.pitches["out"].hit(PITCHES[d.out_pitch > d.out_lines])
        self.plane.hit(plane)
        self.line.hit("part of a row" if d.line_w < d.in_w else "one row" if d.line_h == 1 else "several rows")
        self.tile.hit(TILES(d.tile_h * d.tile_w))
        self.regions.hit(REGIONS[d.half_regions(self.region_pos)])
        rows, columns = (axis.counts[-1] < axis.tile for axis in (d.y, d.x))
        self.edge.hit(EDGES[rows + 2 * columns])
        self.splits.hit(SPLITS(d.splits))
        if d.splits > 1:
            last = len(d.shares(d.chunks - 1)[-1])
            self.uneven.hit("as large" if last == d.split_c else "smaller" if last else "no channel")
        self.chunks.hit(CHUNKS(d.chunks))
        self.padded_k.hit("padded" if d.out_k < layer.padded_k else "full")
        self.channels.hit(CHANNELS(d.in_c))
        formats = "/".join("int8" if signed else "uint8" for signed in (d.act_signed, d.out_signed))
        self.formats.hit(formats)
        residual = "none" if not d.residual else "int8" if d.res_signed else "uint8"
        output = "int8" if d.out_signed else "uint8"
        self.residual.hit(f"{residual}/{output}/{'appended' if layer.appended else 'reset'}")
        self.section.hit(SECTIONS[1 if layer.appended else 2 * d.out_append])
        if d.keep_slot or d.continue_slot:
            begun = "continued" if d.continue_slot else "begun"
            jobs = "all slots" if d.jobs == self.num_slots else "fewer jobs than slots"
            self.slots.hit(f"{begun}/{'kept' if d.keep_slot else 'written'}/{jobs}")
        operation = OPERATIONS[2 if d.maximum else d.tap_shared]
        groups = GROUPS[0 if d.groups == 1 else 1 if len(d.channels(d.chunks - 1)) == d.group_c else 2]
        self.operations.hit(f"{operation}/{'int8' if d.act_signed else 'uint8'}/{groups}")
        self.skip.hit("on" if d.skip else "off")
        self._outputs(layer.output, d.clamp_lo, d.clamp_hi)
        kernel = "1x1" if d.kernel_r == d.kernel_s == 1 else "square" if d.kernel_r == d.kernel_s else "unequal"
        self.kernel_stride.hit(f"{kernel}/{stride}")
        sides = set(pads.values())
        self.stride_pad.hit(f"{stride}/{'none' if sides == {0} else 'even' if len(sides) == 1 else 'uneven'}")
        self.mode_splits.hit(f"{mode}/{'split' if d.splits > 1 else 'one unit'}")
        self.mode_plane.hit(f"{mode}/{plane}")
        self.mode_format.hit(f"{mode}/{formats}")

    def _outputs(self, output: np.ndarray, low: int, high: int) -> None:
        at_low, at_high = int((output == low).sum()), int((output == high).sum())
        for label, n in zip(OUTPUTS, (at_low, output.size - at_low - at_high, at_high), strict=True):
            if n > 0:
                self.outputs.hit(label, n)
