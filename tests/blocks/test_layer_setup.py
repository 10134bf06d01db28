# SPDX-License-Identifier: Apache-2.0
"""layer_setup: derived values, position table, and each descriptor check on both sides of its limit."""

import os
from itertools import product
from math import prod

import pytest
from cocotb.triggers import FallingEdge

from tests.blocks.naive_geometry import (
    derived_fields,
    layer_fields,
    mask_writes,
    tile_masks,
    tile_positions,
    window_size,
)
from verif.shared.stimulus import random_geometry
from verif.shared.structs import Struct, struct
from verif.sim.kit import block_test, start
from verif.sim.seed import rng

LAYER, DERIVED = struct("layer_t"), struct("derived_t")
POSITION, MASK = struct("pos_tab_write_t"), struct("mask_tab_write_t")
COMMAND, STATUS = struct("layer_cmd_t"), struct("layer_status_t")
FLUSH = 9  # cycles from the last job's end to layer_done
MODES = [(0, 0), (0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (2, 4)]
SIZES = {
    "NumLanes": 4,
    "WgtVectors": 4096,
    "ActWords": 16384,
    "IdxEntries": 8192,
    "ParEntries": 256,
    "RegionPos": 256,
    "NumSlots": 18,
    "QueueDepth": 3,
}


def size(name: str) -> int:
    return int(os.environ[name])


def descriptor(mode=(1, 2), c=8, k=20, splits=2, **geometry_args) -> dict:
    """A good descriptor on the sizes above."""
    shape = {"h": 9, "w": 13, "r": 3, "s": 2, "sy": 1, "sx": 2, "pad": (1, 1, 1, 0), "line": (4, 13), "tile": (3, 5)}
    layer = layer_fields(**(shape | geometry_args))
    chunk = size("NumLanes") << (mode[1] - mode[0])
    split_c, chunks = -(-c // splits), -(-k // chunk)
    return layer | {
        "k_log2": mode[0],
        "m_log2": mode[1],
        "act_signed": 0,
        "out_signed": 0,
        "skip": 1,
        "in_c": c,
        "out_k": k,
        "chunks": chunks,
        "splits": -(-c // split_c),
        "split_c": split_c,
        "group_c": c,
        "group_chunks": chunks,
        "wgt_base": 16,
        "par_base": 8,
        "in_idx_base": 0,
        "out_idx_base": 4096,
        "out_act_base": 8192,
        "out_act_limit": 16384,
        "clamp_lo": 0,
        "clamp_hi": 255,
    }


def shown(port, kind: Struct, ctx: int) -> dict:
    """The fields of what stands in a context."""
    return kind.unpack(int(port.value) >> kind.width * ctx & (1 << kind.width) - 1)


async def run_layer(dut, layer: dict, delay: int = 3) -> tuple[int, dict, tuple[dict, dict]]:
    """Offer a layer, run it to its end; returns (error code or 0, derived values, (position table, mask table))."""
    dut.cmd_i.value = COMMAND.pack({"push": 1, "layer": layer})
    assert STATUS.unpack(dut.status_o.value)["ready"]
    await FallingEdge(dut.clk_i)
    dut.cmd_i.value = 0  # taken: must not be looked at again
    table, masks, started, code, derived = {}, {}, 0, 0, {}
    prepared, ended, ctx = 0, None, None
    for cycle in range(300):
        status = STATUS.unpack(dut.status_o.value)
        assert status["busy"] and status["level"] == (cycle == 0)
        write = POSITION.unpack(dut.pos_tab_o.value)
        if write["valid"]:
            assert not started and write["p"] not in table and write["ctx"] == ctx
            table[write["p"]] = write["q"]
        write = MASK.unpack(dut.mask_tab_o.value)
        if write["valid"]:
            assert not started and write["ctx"] == ctx
            masks[write["shape"], write["word"]] = write["bits"]
        if dut.prepare_o.value:
            prepared, ctx = prepared + 1, int(dut.prepare_o.value) - 1
            assert not started and shown(dut.layer_o, LAYER, ctx) == LAYER.unpack(LAYER.pack(layer))
        assert dut.restart_o.value == (dut.start_o.value != 0)
        if dut.start_o.value:
            started += 1
            assert dut.start_o.value == 1 << ctx
            assert shown(dut.layer_o, LAYER, ctx) == LAYER.unpack(LAYER.pack(layer))
            derived = shown(dut.derived_o, DERIVED, ctx)
        if status["refused"]:
            code = status["refused_code"]
        if status["done"]:
            assert code or cycle - ended == FLUSH, "the counters need time"
            break
        dut.all_done_i.value = 0
        if started:
            if delay == 0:
                dut.all_done_i.value, ended = 1, cycle
            delay -= 1
        await FallingEdge(dut.clk_i)
    else:
        raise AssertionError("the layer did not end within 300 cycles")
    dut.all_done_i.value = 0
    assert started == (code == 0), "a bad descriptor must not start"
    assert prepared == 1
    await FallingEdge(dut.clk_i)
    status = STATUS.unpack(dut.status_o.value)
    assert not status["busy"] and status["ready"]
    return code, derived, (table, masks)


def check_good(layer: dict, derived: dict, tables: tuple[dict, dict]) -> None:
    table, masks = tables
    want = derived_fields(layer, size("NumLanes"), size("RegionPos"))
    wrong = {name: (derived[name], value) for name, value in want.items() if derived[name] != value}
    assert not wrong, f"(found, expected) {wrong}"
    assert table == dict(enumerate(tile_positions(layer, layer["tile_h"], layer["tile_w"])))
    for write in mask_writes(tile_masks(layer)):
        assert masks[write["shape"], write["word"]] == write["bits"], write


@block_test(us=500)
async def good_layers(dut):
    """Every mode and random geometries: derived values and table from the definitions."""
    await start(dut)
    gen = rng()
    for mode in MODES:
        layer = descriptor(mode)
        code, derived, table = await run_layer(dut, layer)
        assert code == 0
        check_good(layer, derived, table)
    for _ in range(60):
        (h, w), (r, s), (sy, sx), pad = random_geometry(gen, largest=29)
        layer = descriptor(
            MODES[gen.integers(7)],
            c=int(gen.integers(1, 12)),
            k=int(gen.integers(1, 40)),
            splits=int(gen.integers(1, 5)),
            h=h,
            w=w,
            r=r,
            s=s,
            sy=sy,
            sx=sx,
            pad=pad,
            tile=(int(gen.integers(1, 4)), int(gen.integers(1, 9))),
            line=(1, 30),
        )
        if gen.random() < 0.5:  # groups, the last with fewer chunks and channels
            layer["group_chunks"] = int(gen.integers(1, layer["chunks"] + 1))
            layer["groups"] = -(-layer["chunks"] // layer["group_chunks"])
            layer["in_c"] = (layer["groups"] - 1) * layer["group_c"] + int(gen.integers(1, layer["group_c"] + 1))
        layer["tap_shared"] = int(layer["m_log2"] == 0 and gen.integers(2))
        code, derived, table = await run_layer(dut, layer, delay=int(gen.integers(1, 20)))
        each = 1 if layer["tap_shared"] else layer["chunks"] * layer["kernel_r"] * layer["kernel_s"]
        output = layer["out_idx_base"] + layer["out_k"] * layer["out_pitch"]
        expected = {
            7: prod(window_size(layer)) <= size("RegionPos"),
            10: layer["wgt_base"] + layer["group_c"] * each <= size("WgtVectors"),
            12: max(output, layer["in_c"] * layer["in_pitch"]) <= size("IdxEntries"),
        }
        assert code == next((number for number, holds in expected.items() if not holds), 0)
        if code == 0:
            check_good(layer, derived, table)


def nearest_tiles(most: int) -> list[tuple[int, dict]]:
    """Of a kernel of one tap, strided: the largest windows with at most `most` positions, the smallest with more."""
    windows = [
        (((rows - 1) * sy + 1) * ((columns - 1) * sx + 1), {"tile": (rows, columns), "sy": sy, "sx": sx})
        for rows, columns, sy, sx in product(range(1, 65), range(1, 65), range(1, 5), range(1, 5))
        if rows * columns <= 64
    ]
    largest = max(positions for positions, _ in windows if positions <= most)
    smallest = min(positions for positions, _ in windows if positions > most)
    return [w for edge in (largest, smallest) for w in [window for window in windows if window[0] == edge][:10]]


@block_test(us=200)
async def half_regions(dut):
    """Regions are half ones with a kernel of one tap, windows of at most half a buffer, and words for two halves."""
    await start(dut)
    most, ones = size("RegionPos") // 2, 0
    small = 12, {"tile": (3, 4), "sy": 1, "sx": 1}
    for positions, shape in [small, *nearest_tiles(most)]:
        (rows, columns), sy, sx = shape["tile"], shape["sy"], shape["sx"]
        plane = {"h": (rows - 1) * sy + 1, "w": (columns - 1) * sx + 1, "pad": (0, 0, 0, 0), "line": (1, 64)}
        for r, s in ((1, 1), (2, 1), (1, 2)):
            more = {"h": plane["h"] + r - 1, "w": plane["w"] + s - 1}
            layer = descriptor(c=2, k=4, splits=1, **(plane | shape | more), r=r, s=s)
            code, derived, tables = await run_layer(dut, layer)
            assert code == (0 if prod(window_size(layer)) <= size("RegionPos") else 7)
            if code == 0:
                check_good(layer, derived, tables)
                half = size("RegionPos") >= 256 and positions <= most and r * s == 1
                assert derived["half_regions"] == half
                ones += half
    assert ones or most < 128


# The layer has 20 channels of 6 lines.
RESIDUAL = {"residual": 1, "res_pitch": 7, "res_shift": 20}

# A vector for each of 8 channels, for all taps and chunks.
SHARED = {"k_log2": 0, "m_log2": 0, "chunks": 5, "group_chunks": 5, "tap_shared": 1}

# (check of docs/architecture.md section 6, changes to a good descriptor)
BAD = [
    (1, {"k_log2": 3, "m_log2": 3}),
    (1, {"k_log2": 1, "m_log2": 1}),
    (1, {"k_log2": 2, "m_log2": 2}),
    (1, {"k_log2": 0, "m_log2": 3, "chunks": 1}),
    (1, {"k_log2": 1, "m_log2": 0}),
    (1, {"k_log2": 3, "m_log2": 4}),
    *(
        (2, {name: 0})
        for name in (
            "in_c",
            "in_h",
            "in_w",
            "out_k",
            "out_h",
            "out_w",
            "kernel_r",
            "kernel_s",
            "lines_y",
            "lines_x",
            "tiles_y",
            "tiles_x",
            "chunks",
            "splits",
            "split_c",
            "groups",
            "group_c",
            "group_chunks",
        )
    ),
    (2, {"kernel_r": 23}),
    (2, {"kernel_s": 31}),
    (3, {"line_h": 0}),
    (3, {"line_w": 0}),
    (3, {"line_h": 5, "line_w": 13}),
    (4, {"lines_y": 4}),
    (4, {"lines_y": 2}),
    (4, {"lines_x": 2}),
    (4, {"line_w": 12}),
    (5, {"tile_h": 0}),
    (5, {"tile_w": 0}),
    (5, {"tile_h": 13, "tile_w": 5}),
    (5, {"m_log2": 3, "tile_h": 7, "chunks": 2}),
    (6, {"tiles_y": 4}),
    (6, {"tiles_y": 2}),
    (6, {"tiles_x": 3}),
    (6, {"tiles_x": 1}),
    (7, {"kernel_r": 7, "kernel_s": 7, "tile_h": 7, "tile_w": 7, "tiles_y": 2, "tiles_x": 1, "stride_y": 1}),
    (8, {"chunks": 4}),
    (8, {"chunks": 2}),
    (8, {"out_k": 25}),
    (16, {"groups": 2}),
    (16, {"groups": 3, "group_c": 4, "split_c": 2, "group_chunks": 1}),
    (16, {"in_c": 9}),
    (16, {"group_chunks": 2}),
    (16, {"chunks": 4, "out_k": 32}),
    (18, {"maximum": 1}),
    (18, {"tap_shared": 1}),
    (18, SHARED | {"maximum": 1, "act_signed": 1}),
    (9, {"splits": 3}),
    (9, {"split_c": 8}),
    (9, {"split_c": 3}),
    (10, {"wgt_base": 4096 - 3 * 8 * 6 + 1}),
    (10, {"wgt_base": 2**24 - 1}),
    (10, {"in_c": 65535, "group_c": 65535, "split_c": 65535, "splits": 1}),
    (10, SHARED | {"wgt_base": 4096 - 8 + 1}),
    (11, {"par_base": 237}),
    (11, {"par_base": 2**24 - 1}),
    (12, {"in_idx_base": 8192 - 8 * 3 + 1}),
    (12, {"out_idx_base": 8192 - 20 * 6 + 1}),
    (12, {"in_idx_base": 2**24 - 1}),
    (13, {"out_act_limit": 16385}),
    (13, {"out_act_base": 9000, "out_act_limit": 8999}),
    (14, {"clamp_lo": -1}),
    (14, {"clamp_lo": 5, "clamp_hi": 4}),
    (14, {"out_signed": 1, "clamp_lo": -129, "clamp_hi": 0}),
    (14, {"out_signed": 1, "clamp_lo": 0, "clamp_hi": 128}),
    (12, {"in_pitch": 2}),
    (12, {"out_pitch": 5}),
    (12, {"in_pitch": 1170}),
    (12, {"out_pitch": 216}),
    (12, {"in_pitch": 2**24 - 1}),
    (12, {"in_idx_base": 7, "in_pitch": 1169}),
    (15, {"in_h": 2, "lines_y": 1}),
    (15, {"in_w": 5, "line_w": 5}),
    (15, {"pad_top": 8}),
    (15, {"pad_left": 8}),
    (15, {"pad_top": -65, "in_h": 75, "lines_y": 19, "in_pitch": 19}),
    (15, {"pad_left": -65, "in_w": 75, "line_w": 25, "line_h": 2, "lines_y": 5, "lines_x": 3, "in_pitch": 15}),
    (15, {"pad_top": -128}),
    (12, RESIDUAL | {"res_pitch": 5}),
    (12, RESIDUAL | {"res_idx_base": 8192 - 19 * 7 - 6 + 1}),
    (12, RESIDUAL | {"res_pitch": 2**24 - 1}),
    (17, RESIDUAL | {"res_shift": 8}),
    (17, RESIDUAL | {"res_shift": 63}),
    (19, {"keep_slot": 1, "out_k": 25, "chunks": 4, "group_chunks": 4}),
    (19, {"continue_slot": 1}),
    (19, RESIDUAL | {"keep_slot": 1}),
]

# The last good value beside a bad one.
GOOD = [
    {"wgt_base": 4096 - 3 * 8 * 6},
    {"par_base": 236},
    {"in_idx_base": 8192 - 8 * 3},
    {"out_idx_base": 8192 - 20 * 6},
    {"out_act_base": 9000, "out_act_limit": 9000},
    {"out_signed": 1, "clamp_lo": -128, "clamp_hi": 127},
    {"clamp_lo": 255, "clamp_hi": 255},
    {"in_h": 3, "lines_y": 1},
    {"in_w": 6, "line_w": 6},
    {"pad_top": 7},
    {"pad_top": -64, "in_h": 68, "lines_y": 17, "in_pitch": 17},
    {"pad_left": -64, "in_w": 71, "line_w": 24, "line_h": 2, "lines_y": 5, "lines_x": 3, "in_pitch": 15},
    {"kernel_r": 22, "in_h": 22, "lines_y": 6, "in_pitch": 6},
    {"in_idx_base": 6, "in_pitch": 1169},
    {"out_pitch": 215},
    {"in_c": 1, "group_c": 1, "split_c": 1, "splits": 1, "in_pitch": 2**24 - 1},
    {"out_k": 24},
    {"in_c": 9, "groups": 2, "group_chunks": 2},
    {"in_c": 12, "groups": 3, "group_c": 4, "split_c": 2, "group_chunks": 1},
    SHARED | {"wgt_base": 4096 - 8},
    SHARED | {"maximum": 1},
    SHARED | {"maximum": 1, "act_signed": 1, "skip": 0},
    {"res_pitch": 0, "res_shift": 0, "res_idx_base": 2**24 - 1},
    RESIDUAL | {"res_pitch": 6, "res_shift": 9},
    RESIDUAL | {"res_idx_base": 8192 - 19 * 7 - 6, "res_shift": 62},
    {"keep_slot": 1},
]


@block_test(us=500)
async def bad_descriptors(dut):
    """Each check fires with its number, and the next good layer runs."""
    await start(dut)
    good = descriptor()
    for check, change in BAD:
        code, _, table = await run_layer(dut, good | change)
        assert code == check, f"{change}: check {code} failed, expected {check}"
        assert not any(table)
        code, derived, table = await run_layer(dut, good)
        assert code == 0
        check_good(good, derived, table)
    for change in GOOD:
        code, _, _ = await run_layer(dut, good | change)
        assert code == 0, f"{change}: check {code} failed, expected none"


# Changes that leave a descriptor good, but not the outputs that it was.
OTHER_OUTPUTS = [
    {"k_log2": 0, "m_log2": 1},
    {"out_k": 19},
    {"out_h": 8},
    {"out_w": 7},
    {"tile_h": 4, "tiles_y": 2},
    {"tile_w": 4},
    {"m_log2": 3, "chunks": 2, "group_chunks": 2},
]


@block_test(us=300)
async def kept_slots(dut):
    """Slots are continued by a layer of the same outputs behind one that keeps them, whatever was refused between."""
    await start(dut)
    good, ran = descriptor(out_h=7, out_w=6), []
    keep, go_on = good | {"keep_slot": 1}, good | {"continue_slot": 1}
    for layer in (keep, go_on | {"keep_slot": 1}, go_on):
        ran.append(await run_layer(dut, layer))
        for change in OTHER_OUTPUTS if layer is not go_on else [{}]:
            code, _, _ = await run_layer(dut, go_on | change)
            assert code == 19, f"{change}: check {code} failed, expected 19"
    for code, derived, _ in ran:
        assert code == 0 and derived["jobs"] == good["tiles_y"] * good["tiles_x"] * good["chunks"]
    await run_layer(dut, keep)
    await run_layer(dut, good)
    assert (await run_layer(dut, go_on))[0] == 19


@block_test(us=100)
async def alone(dut):
    """In a run a layer that keeps or continues slots starts when no other is open, and so does the one behind it."""
    await start(dut)
    good = descriptor()
    keep, go_on = good | {"keep_slot": 1}, good | {"continue_slot": 1}
    for number, layer in enumerate([good, keep, go_on | {"keep_slot": 1}, go_on, keep, good]):
        await push(dut, layer)
        if number == 0:
            await until(dut, "start_o")
            continue
        if number == 4:  # behind one that continues and does not keep, but it keeps
            await FallingEdge(dut.clk_i)
        for _ in range(250):
            assert not dut.start_o.value, f"layer {number} starts while another one is open"
            await FallingEdge(dut.clk_i)
        dut.all_done_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.all_done_i.value = 0
        await until(dut, "start_o", 20)
        assert dut.restart_o.value
        await FallingEdge(dut.clk_i)
    await push(dut, good)  # behind one that has nothing to do with slots
    await until(dut, "start_o")
    assert not dut.restart_o.value


@block_test(us=20)
async def layers_wait(dut):
    """The queue takes what it has room for and no more; its layers run in order; an overflow is passed on."""
    await start(dut)
    depth = size("QueueDepth")
    layers = [descriptor(c=c) for c in range(2, depth + 4)]
    for number, layer in enumerate(layers):
        ready = STATUS.unpack(dut.status_o.value)["ready"]
        assert ready == (number <= depth), "one layer is taken out at once"
        dut.cmd_i.value = COMMAND.pack({"push": 1, "layer": layer})
        await FallingEdge(dut.clk_i)
    dut.cmd_i.value = 0
    assert STATUS.unpack(dut.status_o.value)["level"] == depth
    ran, done, ctx = [], 0, 0
    for _ in range(400 * len(layers)):
        status = STATUS.unpack(dut.status_o.value)
        dut.all_done_i.value = int(dut.start_o.value) != 0
        if dut.start_o.value:
            assert len(ran) == done, "the host's layers come one after the other"
            ctx = int(dut.start_o.value) - 1
            ran.append(shown(dut.layer_o, LAYER, ctx)["in_c"])
        done += status["done"]
        if not status["busy"]:
            break
        await FallingEdge(dut.clk_i)
    assert ran == [layer["in_c"] for layer in layers[: depth + 1]] and done == depth + 1
    dut.all_done_i.value = 0
    dut.overflow_i.value = 2 - ctx  # of the next layer
    await FallingEdge(dut.clk_i)
    dut.overflow_i.value = 0
    assert STATUS.unpack(dut.status_o.value)["overflow"]
    await FallingEdge(dut.clk_i)
    assert not STATUS.unpack(dut.status_o.value)["overflow"]
    await push(dut, layers[0], issue=0)  # the layer without room has not issued it
    for _ in range(200):
        await FallingEdge(dut.clk_i)
        assert not dut.start_o.value


async def push(dut, *layers: dict, issue: int = 1) -> None:
    """Layers of a program, one after the other, issued at once or not yet."""
    for layer in layers:
        dut.cmd_i.value = COMMAND.pack({"push": 1, "issue": issue, "in_run": 1, "layer": layer})
        await FallingEdge(dut.clk_i)
    dut.cmd_i.value = COMMAND.pack({"in_run": 1})


async def until(dut, port: str, cycles: int = 300) -> int:
    """Wait for a pulse; returns its value."""
    for _ in range(cycles):
        if value := int(getattr(dut, port).value):
            return value
        await FallingEdge(dut.clk_i)
    raise AssertionError(f"no {port} within {cycles} cycles")


async def ends(dut, cycles: int) -> list[dict]:
    """What the status says in so many cycles, where it says something."""
    seen = []
    for cycle in range(cycles):
        status = STATUS.unpack(dut.status_o.value)
        if status["done"] or status["overflow"]:
            seen.append({name for name in ("done", "refused", "overflow") if status[name]} | {cycle})
        await FallingEdge(dut.clk_i)
        dut.all_done_i.value = dut.overflow_i.value = 0
    return seen


@block_test(us=200)
async def two_layers(dut):
    """Of a program the next layer is prepared and starts while one is open, a third waits; they end in order."""
    await start(dut)
    good = [descriptor(c=c, tile=tile) for c, tile in ((2, (3, 5)), (3, (1, 7)), (4, (5, 2)), (5, (2, 2)))]
    await push(dut, *good[:3])
    started = []
    for number in range(2):
        ctx = await until(dut, "start_o") - 1
        started.append(ctx)
        assert dut.restart_o.value == (number == 0)
        await FallingEdge(dut.clk_i)
    assert started == [0, 1]
    for number, layer in enumerate(good[:2]):
        assert shown(dut.layer_o, LAYER, number) == LAYER.unpack(LAYER.pack(layer))
        want, found = derived_fields(layer, size("NumLanes"), size("RegionPos")), shown(dut.derived_o, DERIVED, number)
        assert {name: found[name] for name in want} == want
    for _ in range(300):
        assert not dut.prepare_o.value and not dut.start_o.value, "a third layer is open"
        await FallingEdge(dut.clk_i)
    assert dut.shown_o.value == 0
    # The younger one's jobs are done soon after the older one's; its overflow waits.
    dut.overflow_i.value = 2
    assert await ends(dut, 20) == []
    dut.all_done_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.all_done_i.value = 0
    await FallingEdge(dut.clk_i)
    dut.all_done_i.value = 1
    seen = await ends(dut, 40)
    assert seen == [{"done", FLUSH - 2}, {"overflow", FLUSH}, {"done", 2 * FLUSH - 1}]
    assert await until(dut, "start_o") == 1 and dut.restart_o.value
    assert dut.layer_o.value.to_unsigned() & (1 << LAYER.width) - 1 == LAYER.pack(good[2])
    # A bad one beside it waits for its turn as well; then the next one starts in the same context.
    await push(dut, good[0] | {"k_log2": 3}, good[3])
    assert await ends(dut, 200) == []
    dut.all_done_i.value = 1
    seen = await ends(dut, 20)
    assert seen == [{"done", FLUSH}, {"done", "refused", FLUSH + 2}]
    assert await until(dut, "start_o") == 2
    dut.all_done_i.value = 1
    assert await ends(dut, 20) == [{"done", FLUSH}]
    assert not STATUS.unpack(dut.status_o.value)["busy"]
    assert dut.shown_o.value == 1, "the layer that ran last is shown until another one runs"


@block_test(us=50)
async def ends_close_together(dut):
    """The younger layer's jobs are done while the older one ends, in any of its cycles, or after that: both end."""
    await start(dut)
    for distance in range(2, FLUSH + 4):
        await push(dut, descriptor(), descriptor())
        for _ in range(2):
            await until(dut, "start_o")
            await FallingEdge(dut.clk_i)
        done = []
        for cycle in range(1, 3 * FLUSH):
            dut.all_done_i.value = cycle in (1, 1 + distance)
            await FallingEdge(dut.clk_i)
            done += [cycle] * STATUS.unpack(dut.status_o.value)["done"]
        assert done == [FLUSH, max(2 * FLUSH + 1, FLUSH + distance)], f"{distance} cycles apart"
        assert not STATUS.unpack(dut.status_o.value)["busy"]


async def issued_after(dut, layer: dict, delay: int) -> int:
    """Push a layer and issue it so many cycles later, alone; cycles from the push to its start or refusal."""
    await push(dut, layer, issue=int(delay == 0))
    for cycle in range(1, 400):
        status = STATUS.unpack(dut.status_o.value)
        dut.cmd_i.value = COMMAND.pack({"in_run": 1, "issue": int(cycle == delay)})
        if dut.start_o.value or status["refused"]:
            assert cycle > delay, "it starts before it was issued"
            assert bool(status["refused"]) == (layer["k_log2"] == 3)
            return cycle
        await FallingEdge(dut.clk_i)
    raise AssertionError("it does not start")


@block_test(us=400)
async def prepared_layers(dut):
    """What is pushed is prepared at once, and starts, or is refused, when it has been issued: before it is prepared,
    soon after that, or long after."""
    await start(dut)
    for layer in (descriptor(c=3), descriptor(mode=(0, 2), c=5, splits=1), descriptor() | {"k_log2": 3}):
        at_once = await issued_after(dut, layer, 0)
        for delay in (0, 1, 5, *range(at_once - 6, at_once + 4), 150):
            if layer["k_log2"] != 3:
                want, ctx = derived_fields(layer, size("NumLanes"), size("RegionPos")), int(dut.start_o.value) - 1
                found = shown(dut.derived_o, DERIVED, ctx)
                assert {name: found[name] for name in want} == want
                dut.all_done_i.value = 1
                assert await ends(dut, 20) == [{"done", FLUSH}]
            await FallingEdge(dut.clk_i)
            assert not STATUS.unpack(dut.status_o.value)["busy"]
            cycles = await issued_after(dut, layer, delay)
            assert cycles == max(at_once, delay + (1 if layer["k_log2"] == 3 else 2)), (
                "issued late it starts soon after"
            )
        if layer["k_log2"] != 3:
            dut.all_done_i.value = 1
            await ends(dut, 20)
        await FallingEdge(dut.clk_i)


@block_test(us=600)
async def dropped_layers(dut):
    """What was not issued is dropped, wherever it stands; what was runs; the next one does as if nothing had been."""
    await start(dut)
    good, refused = descriptor(c=3), descriptor() | {"k_log2": 3}
    for layer, issued, delay in product((good, refused), range(3), (0, 1, 50, 100, 104, 150)):
        await push(dut, *[good] * issued)
        await push(dut, layer, issue=0)
        begun = done = running = 0
        for cycle in range(500):
            status = STATUS.unpack(dut.status_o.value)
            begun, running = begun + (dut.start_o.value != 0), running + (dut.start_o.value != 0)
            done += status["done"]
            assert not status["refused"]
            if not status["busy"]:
                break
            ended = running and cycle > delay and cycle % 30 == 0
            running -= ended
            dut.all_done_i.value = int(ended)
            dut.cmd_i.value = COMMAND.pack({"in_run": 1, "cancel": int(cycle >= delay)})
            await FallingEdge(dut.clk_i)
        else:
            raise AssertionError("something is busy for good")
        assert begun == done == issued
        dut.all_done_i.value = 0
        code, derived, tables = await run_layer(dut, good)
        assert code == 0
        check_good(good, derived, tables)


def test_layer_setup(run_block):
    run_block("spcore_layer_setup", SIZES)


@pytest.mark.parametrize("region_pos", [64, 128, 512])
def test_half_regions(run_block, region_pos):
    run_block("spcore_layer_setup", SIZES | {"RegionPos": region_pos}, testcase="half_regions")
