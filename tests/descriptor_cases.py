# SPDX-License-Identifier: Apache-2.0
"""A legal layer and, for each descriptor check, changes that break it and nothing before it."""

import numpy as np

from models.config import Config
from models.lines import LineShape
from models.tiling import Cut, Plan, make_plan
from verif.shared.stimulus import make_layer

MODE_1_1 = {"k_log2": 0, "m_log2": 0, "chunks": 3, "group_chunks": 3}

CASES = [
    (1, {"m_log2": 5}),
    (1, {"k_log2": 3, "m_log2": 4}),
    (1, {"k_log2": 1, "m_log2": 1}),
    (2, {"in_h": 0}),
    (2, {"kernel_r": 0}),
    (2, {"kernel_s": 23}),
    (2, {"splits": 0}),
    (3, {"line_h": 0}),
    (3, {"line_h": 10}),
    (4, {"lines_y": 4}),
    (4, {"lines_x": 2}),
    (5, {"tile_w": 0}),
    (5, {"tile_h": 17}),
    (6, {"tiles_x": 4}),
    (6, {"tiles_y": 1}),
    (
        7,
        {
            "tile_h": 7,
            "tile_w": 9,
            "kernel_r": 7,
            "kernel_s": 7,
            "stride_y": 1,
            "stride_x": 1,
            "tiles_y": 1,
            "tiles_x": 1,
        },
    ),
    (8, {"chunks": 3}),
    (9, {"split_c": 1}),
    (2, {"group_c": 0}),
    (2, {"groups": 0}),
    (16, {"groups": 2}),
    (16, {"in_c": 5}),
    (16, {"group_chunks": 1}),
    (18, {"maximum": 1}),
    (18, {"tap_shared": 1}),
    (18, MODE_1_1 | {"maximum": 1, "act_signed": 1}),
    (10, {"wgt_base": 4090}),
    (11, {"par_base": 250}),
    (12, {"out_idx_base": 8190}),
    (12, {"in_idx_base": 8190}),
    (13, {"out_act_limit": 16385}),
    (13, {"out_act_base": 900, "out_act_limit": 800}),
    (14, {"clamp_lo": -1}),
    (14, {"clamp_lo": 9, "clamp_hi": 8}),
    (14, {"clamp_hi": 130, "out_signed": 1}),
    (12, {"in_pitch": 2}),
    (12, {"out_pitch": 5}),
    (12, {"in_pitch": 2731}),
    (15, {"pad_top": -2, "in_h": 1, "line_h": 1, "lines_y": 1}),
    (15, {"pad_top": 8}),
    (15, {"pad_left": -65, "in_w": 100, "line_h": 1, "line_w": 64, "lines_y": 6, "lines_x": 2, "in_pitch": 12}),
    (15, {"pad_left": 0, "in_w": 1, "line_w": 1}),
    (12, {"residual": 1, "res_pitch": 5, "res_shift": 30}),
    (12, {"residual": 1, "res_pitch": 6, "res_idx_base": 8190, "res_shift": 30}),
    (17, {"residual": 1, "res_pitch": 6, "res_shift": 8}),
    (17, {"residual": 1, "res_pitch": 6, "res_shift": 63}),
    (19, {"continue_slot": 1}),
    (19, {"keep_slot": 1, "residual": 1, "res_pitch": 6, "res_shift": 30}),
    (19, {"keep_slot": 1}),
]


def legal_layer(config: Config) -> tuple:
    """The layer and plan that CASES change; for the small configuration."""
    layer = make_layer(np.random.default_rng(6), (4, 6, 7), 9, (3, 2), padding=(1, 0, 2, 1))
    plan: Plan = make_plan(config, layer, Cut(LineShape(2, 7), LineShape(3, 4), 2))
    return layer, plan
