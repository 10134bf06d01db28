"""pass_generator: segments and weight addresses of random regions against plain Python, stalls, full rate."""

import os

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

LAYER, DERIVED, REGION, SEGMENT = struct("layer_t"), struct("derived_t"), struct("region_t"), struct("segment_t")


def random_geometry(gen, region_pos: int) -> dict:
    """Kernel, strides and tile whose region fits."""
    while True:
        r, s = (int(x) for x in gen.integers(1, 8, 2))
        sy, sx = (int(x) for x in gen.integers(1, 3, 2))
        tile_w = int(gen.integers(1, 65))
        tile_h = int(gen.integers(1, 64 // tile_w + 1))
        win_w = (tile_w - 1) * sx + s
        if ((tile_h - 1) * sy + r) * win_w <= region_pos:
            return {"r": r, "s": s, "sy": sy, "sx": sx, "tile_h": tile_h, "tile_w": tile_w, "win_w": win_w}


def positions(g: dict, unit: dict) -> list[int]:
    """q of each position of a unit's tile."""
    return [ty * g["sy"] * g["win_w"] + tx * g["sx"] for ty in range(unit["tile_h"]) for tx in range(unit["tile_w"])]


def expected(g: dict, region: dict, bitmap: int) -> tuple[list[dict], list[int], int]:
    """(segments, weight addresses, cycles) of one region."""
    qs = [] if region["empty"] else positions(g, region["unit"])
    bases = range(max(qs, default=0) // 64 + 1)
    segments, addresses = [], []
    for r in range(g["r"]):
        for s in range(g["s"]):
            offset = r * g["win_w"] + s
            first = True
            for base in bases:
                bits = sum(1 << q % 64 for q in qs if q // 64 == base and bitmap >> (q + offset) & 1)
                if bits:
                    segments.append({"bits": bits, "base": base, "offset": offset, "first_of_pass": int(first)})
                    if first:
                        addresses.append(region["wgt_addr"] + r * g["s"] + s)
                    first = False
    segments = segments or [{"bits": 0, "first_of_pass": 0}]
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        segment |= {
            "release_region": int(last and not region["empty"]),
            "last_of_unit": int(last and region["last_of_unit"]),
        }
        if segment["bits"]:
            segment["buffer"] = region["buffer"]
        if segment["last_of_unit"]:
            segment["unit"] = region["unit"]
    return segments, addresses, 1 if region["empty"] else g["r"] * g["s"] * len(bases)


def random_regions(gen, g: dict, units: int) -> list[tuple[dict, int]]:
    """(region_t fields, bitmap) of a few units; some regions have no bit on a tile position, some units end empty."""
    regions, buffer = [], 0
    for number in range(units):
        unit = {
            "job": number,
            "split": number % 2,
            "chunk": number,
            "out_line": int(gen.integers(2**24)),
            "tile_h": int(gen.integers(1, g["tile_h"] + 1)),
            "tile_w": int(gen.integers(1, g["tile_w"] + 1)),
        }
        if gen.random() < 0.5:
            unit |= {"tile_h": g["tile_h"], "tile_w": g["tile_w"]}
        size = ((g["tile_h"] - 1) * g["sy"] + g["r"]) * g["win_w"]
        channels = int(gen.integers(1, 6))
        for channel in range(channels):
            last = channel == channels - 1
            empty = last and gen.random() < 0.3
            bitmap = int(gen.integers(0, 2, size).astype(object) @ (1 << gen.permutation(size).astype(object)))
            if gen.random() < 0.4:
                bitmap = 1 << int(gen.integers(size))
            region = {
                "buffer": 0 if empty else buffer,
                "empty": int(empty),
                "last_of_unit": int(last),
                "wgt_addr": int(gen.integers(2**23)),
                "unit": unit,
            }
            buffer = (buffer + (not empty)) % 4
            regions.append((region, bitmap))
    return regions


async def start(dut) -> None:
    dut.rst_ni.value = 0
    await Timer(1, "ns")  # no clock edge before the reset
    cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
    for name in (
        "layer_i",
        "derived_i",
        "start_i",
        "region_valid_i",
        "region_i",
        "region_bitmap_i",
        "wgt_ready_i",
        "segment_ready_i",
    ):
        getattr(dut, name).value = 0
    await FallingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1


def set_geometry(dut, g: dict) -> None:
    dut.layer_i.value = LAYER.pack(
        {"kernel_r": g["r"], "kernel_s": g["s"], "stride_y2": g["sy"] - 1, "stride_x2": g["sx"] - 1}
    )
    dut.derived_i.value = DERIVED.pack({"win_w": g["win_w"]})


async def run(dut, gen, g: dict, regions: list, region_rate: float, wgt_rate: float, segment_rate: float) -> int:
    """Send regions through and compare segments and addresses; returns the cycles from first to last region taken."""
    set_geometry(dut, g)
    parts = [expected(g, *region) for region in regions]
    segments = [segment for part in parts for segment in part[0]]
    addresses = [address for part in parts for address in part[1]]
    sent, offered, taken_at, idle = 0, False, [], 0
    found, asked = [], []
    while sent < len(regions) or len(found) < len(segments):
        if not offered and sent < len(regions) and gen.random() < region_rate:
            offered = True
            dut.region_i.value, dut.region_bitmap_i.value = REGION.pack(regions[sent][0]), regions[sent][1]
        dut.region_valid_i.value = offered
        wgt_ready, segment_ready = bool(gen.random() < wgt_rate), bool(gen.random() < segment_rate)
        dut.wgt_ready_i.value, dut.segment_ready_i.value = wgt_ready, segment_ready
        await RisingEdge(dut.clk_i)
        idle += 1
        if dut.wgt_valid_o.value and wgt_ready:
            asked.append(int(dut.wgt_addr_o.value))
        if dut.segment_valid_o.value and segment_ready:
            segment = SEGMENT.unpack(dut.segment_o.value)
            assert len(found) < len(segments), f"one segment too many: {segment}"
            wrong = {k: (segment[k], v) for k, v in segments[len(found)].items() if segment[k] != v}
            assert not wrong, f"segment {len(found)} of {g}: (found, expected) {wrong}"
            if segment["first_of_pass"]:
                assert len(asked) > sum(s["first_of_pass"] for s in found), "a pass before its weight address"
            found.append(segment)
            idle = 0
        if offered and dut.region_ready_o.value:
            taken_at.append(int(cocotb.utils.get_sim_time("ns")) // 10)
            sent, offered, idle = sent + 1, False, 0
        await FallingEdge(dut.clk_i)
        assert idle < 5000, f"stuck after {sent} regions"
    assert asked == addresses
    dut.region_valid_i.value, dut.segment_ready_i.value = 0, 1
    for _ in range(8):
        await FallingEdge(dut.clk_i)
        assert not dut.segment_valid_o.value and not dut.wgt_valid_o.value
    return taken_at[-1] - taken_at[0]


@cocotb.test()
async def random_stalls(dut):
    """Random geometries and regions with every mix of stalls."""
    await start(dut)
    gen, region_pos = rng(), int(os.environ["RegionPos"])
    for _ in range(30):
        g = random_geometry(gen, region_pos)
        rates = (float(rate) for rate in gen.choice([0.2, 0.7, 1.0], 3))
        await run(dut, gen, g, random_regions(gen, g, 4), *rates)


@cocotb.test()
async def same_tile_other_layer(dut):
    """A tile of the shape before, but another window width or stride: the mask changes."""
    await start(dut)
    gen = rng()
    for kernel_s, sy, sx in ((1, 1, 1), (3, 1, 1), (3, 2, 1), (1, 2, 2), (3, 1, 2)):
        g = {"r": 2, "s": kernel_s, "sy": sy, "sx": sx, "tile_h": 3, "tile_w": 4, "win_w": 3 * sx + kernel_s}
        await run(dut, gen, g, random_regions(gen, g, 2), 1.0, 1.0, 1.0)


@cocotb.test()
async def full_rate(dut):
    """A segment a cycle, over passes and regions, once the first region has fixed the tile's mask."""
    await start(dut)
    gen, region_pos = rng(), int(os.environ["RegionPos"])
    for _ in range(10):
        g = random_geometry(gen, region_pos)
        unit = dict.fromkeys(struct("drain_info_t").fields, 1) | {"tile_h": g["tile_h"], "tile_w": g["tile_w"]}
        size = ((g["tile_h"] - 1) * g["sy"] + g["r"]) * g["win_w"]
        regions = [
            ({"buffer": n % 4, "empty": 0, "last_of_unit": n % 3 == 2, "wgt_addr": 100 * n, "unit": unit}, 2**size - 1)
            for n in range(6)
        ]
        cycles = await run(dut, gen, g, regions, 1.0, 1.0, 1.0)
        assert cycles == sum(expected(g, *region)[2] for region in regions[1:])


@pytest.mark.parametrize("region, sim", [(128, "verilator"), (512, "verilator"), (256, "icarus")])
def test_pass_generator(region, sim):
    run_block("spcore_pass_generator", {"RegionPos": region}, sim=sim)


def test_parameter_check():
    with pytest.raises(RuntimeError, match="RegionPos = 100, expected a multiple of 64 from 128 to 512"):
        run_block("spcore_pass_generator", {"RegionPos": 100})
