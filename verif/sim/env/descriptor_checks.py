# SPDX-License-Identifier: Apache-2.0
"""The descriptor checks of docs/architecture.md section 6, written from that text for comparison with the core."""

from models import km, reference
from models.config import Config
from models.descriptor import Descriptor
from models.lines import LINE_BITS

MAX_KERNEL = 22
MAX_PADDING = 7
MAX_INSET = 64  # of the first window in the plane
MAX_SHIFT = 62


def _covers(count: int, block: int, size: int) -> bool:
    return (count - 1) * block < size <= count * block


def _same_outputs(d: Descriptor, other: Descriptor) -> bool:
    names = ("k_log2", "m_log2", "out_k", "out_h", "out_w", "tile_h", "tile_w")
    return all(getattr(d, name) == getattr(other, name) for name in names)


def first_violation(config: Config, d: Descriptor, before: Descriptor | None = None) -> int:
    """Number of the first check that the descriptor fails, 0 when it is legal. before: the layer that started last."""
    if (d.k, d.m) not in km.MODES:
        return 1
    y, x = d.y, d.x
    planes = (d.in_c, d.in_h, d.in_w, d.out_k, d.out_h, d.out_w, d.kernel_r, d.kernel_s)
    grids = (d.lines_y, d.lines_x, d.tiles_y, d.tiles_x)
    counts = (*planes, *grids, d.chunks, d.splits, d.split_c, d.groups, d.group_c, d.group_chunks)
    entries = config.IdxBanks * config.IdxDepth

    def fits(base: int, channels: int, pitch: int, lines: int) -> bool:
        return pitch >= lines and base + (channels - 1) * pitch + lines <= entries

    low, high = (-128, 127) if d.out_signed else (0, 255)
    checks = {
        2: min(counts) > 0 and max(d.kernel_r, d.kernel_s) <= MAX_KERNEL,
        3: 0 < d.line_h * d.line_w <= LINE_BITS,
        4: _covers(d.lines_y, d.line_h, d.in_h) and _covers(d.lines_x, d.line_w, d.in_w),
        5: 0 < d.tile_h * d.tile_w <= LINE_BITS // max(1, d.ratio // 2),
        6: _covers(d.tiles_y, d.tile_h, d.out_h) and _covers(d.tiles_x, d.tile_w, d.out_w),
        7: y.window * x.window <= config.RegionPos,
        8: _covers(d.chunks, config.NumLanes * d.ratio, d.out_k),
        9: _covers(d.splits, d.split_c, d.group_c),
        10: d.wgt_base + d.vectors <= config.WgtBanks * config.WgtDepth,
        11: d.par_base + d.out_k <= config.ParDepth,
        12: fits(d.in_idx_base, d.in_c, d.in_pitch, d.in_lines)
        and fits(d.out_idx_base, d.out_k, d.out_pitch, d.out_lines)
        and (not d.residual or fits(d.res_idx_base, d.out_k, d.res_pitch, d.out_lines)),
        13: d.out_act_base <= d.out_act_limit <= config.ActBanks * config.ActDepth,
        14: low <= d.clamp_lo <= d.clamp_hi <= high,
        15: all(-MAX_INSET <= axis.before <= MAX_PADDING and axis.after <= MAX_PADDING for axis in (y, x)),
        16: _covers(d.groups, d.group_c, d.in_c) and _covers(d.groups, d.group_chunks, d.chunks),
        17: not d.residual or reference.RESIDUAL_SHIFT <= d.res_shift <= MAX_SHIFT,
        18: (not (d.maximum or d.tap_shared) or (d.k, d.m) == (1, 1)) and not (d.maximum and d.act_signed and d.skip),
        19: (not (d.keep_slot or d.continue_slot) or d.jobs <= config.slots)
        and not (d.keep_slot and d.residual)
        and (not d.continue_slot or (before is not None and before.keep_slot and _same_outputs(d, before))),
    }
    return next((number for number, holds in checks.items() if not holds), 0)
