# SPDX-License-Identifier: Apache-2.0
"""pass_generator: segments and weight addresses of random regions against plain Python, stalls, full rate."""

import os
from collections import deque

import pytest
from cocotb.triggers import FallingEdge, RisingEdge

from tests.blocks.contexts import Contexts
from tests.blocks.naive_geometry import random_fields, window_size
from tests.blocks.region_ring import RegionRing
from verif.shared.stalls import NO_STALLS, STALLS, Stalls
from verif.shared.structs import struct
from verif.sim.kit import Scoreboard, Sink, Source, block_test, start
from verif.sim.seed import rng

REGION, SEGMENT = struct("region_t"), struct("segment_t")
MASK, WRITE = struct("mask_tab_write_t"), struct("bitmap_write_t")
READ, RESPONSE = struct("bitmap_read_t"), struct("bitmap_rsp_t")


def random_geometry(gen, region_pos: int) -> dict:
    """Kernel, strides and tile whose region fits, into half a buffer if half regions are drawn."""
    while True:
        d = random_fields(gen)
        win_h, win_w = window_size(d)
        if win_h * win_w <= region_pos:
            return {
                "r": d["kernel_r"],
                "s": d["kernel_s"],
                "sy": d["stride_y"] + 1,
                "sx": d["stride_x"] + 1,
                "tile_h": d["tile_h"],
                "tile_w": d["tile_w"],
                "last_h": d["out_h"] - (d["tiles_y"] - 1) * d["tile_h"],
                "last_w": d["out_w"] - (d["tiles_x"] - 1) * d["tile_w"],
                "win_w": win_w,
                "tap_shared": int(gen.integers(2)),
                "half": int(region_pos >= 256 and 2 * win_h * win_w <= region_pos and gen.random() < 0.7),
            }


def tile(g: dict, shape: int) -> tuple[int, int]:
    """Rows and columns of a tile of a shape."""
    return g["last_h"] if shape & 2 else g["tile_h"], g["last_w"] if shape & 1 else g["tile_w"]


def positions(g: dict, shape: int) -> list[int]:
    """q of each position of a tile."""
    height, width = tile(g, shape)
    return [ty * g["sy"] * g["win_w"] + tx * g["sx"] for ty in range(height) for tx in range(width)]


def expected(g: dict, region: dict, bitmap: int) -> tuple[list[dict], list[int], int]:
    """(segments, weight addresses, cycles) of one region."""
    qs = [] if region["empty"] else positions(g, region["shape"])
    words = range(max(qs, default=0) // 64 + 1)
    segments, addresses = [], []
    first = True
    for r in range(g["r"]):
        for s in range(g["s"]):
            offset = r * g["win_w"] + s
            first = first or not g["tap_shared"]  # one pass has all (r, s) of a region then
            for word in words:
                bits = sum(1 << q % 64 for q in qs if q // 64 == word and bitmap >> (q + offset) & 1)
                if bits:
                    start = 64 * word + offset
                    segments.append({"bits": bits, "word": word, "start": start, "first_of_pass": int(first)})
                    if first:
                        addresses.append(region["wgt_addr"] + (0 if g["tap_shared"] else r * g["s"] + s))
                    first = False
    segments = segments or [{"bits": 0, "first_of_pass": 0}]
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        segment |= {
            "release_region": int(last and not region["empty"]),
            "last_of_unit": int(last and region["last_of_unit"]),
        }
    return segments, addresses, 1 + (1 if region["empty"] else g["r"] * g["s"] * len(words))


def random_regions(gen, g: dict, units: int) -> list[tuple[dict, int]]:
    """(region, bitmap) of a few units; some regions have no bit on a tile position, some units end empty."""
    regions = []
    for _ in range(units):
        shape = int(gen.choice([0, gen.integers(4)]))
        size = ((g["tile_h"] - 1) * g["sy"] + g["r"]) * g["win_w"]
        channels = int(gen.integers(1, 6))
        for channel in range(channels):
            last = channel == channels - 1
            empty = last and gen.random() < 0.3
            bitmap = int(gen.integers(0, 2, size).astype(object) @ (1 << gen.permutation(size).astype(object)))
            if gen.random() < 0.4:
                bitmap = 1 << int(gen.integers(size))
            region = {
                "empty": int(empty),
                "last_of_unit": int(last),
                "shape": shape,
                "wgt_addr": int(gen.integers(2**23)),
            }
            regions.append((region, 0 if empty else bitmap or 1))
    return regions


class Loader:
    """Stands around pass_generator: writes bitmaps ahead, offers regions, reads words again at random; sinks."""

    def __init__(self, dut, gen):
        self.dut, self.gen = dut, gen
        self.ring = RegionRing(int(os.environ["NumRegions"]), int(os.environ["RegionPos"]))
        self.contexts = Contexts(dut, gen)
        self.held: deque[int] = deque()  # halves that regions without release take
        self.memory: dict[int, tuple[dict, int]] = {}  # a read of a word and its bits, by its place
        self.reading: tuple[dict, int] | None = None
        self.read_rate = 0.0
        self.waited = self.answers = 0
        self.segments, self.addresses = Scoreboard("segment"), Scoreboard("weight address")
        self.source = Source(dut, "region", {"region": REGION}, gen)
        self.segment_sink = Sink(dut, "segment", {"segment": SEGMENT}, gen, self._take)
        self.address_sink = Sink(dut, "wgt", {"wgt_addr": None}, gen, self.addresses.take)

    def _take(self, segment: dict) -> None:
        self.segments.take(segment)
        if segment["release_region"]:
            self.held.popleft()

    def stall(self, region: Stalls, segment: Stalls, address: Stalls) -> None:
        self.source.stalls, self.segment_sink.stalls, self.address_sink.stalls = region, segment, address

    def write(self, bitmap: int, half: int) -> list[dict]:
        """The writes of the next region, if there is room for it; its words without bits keep what they held before."""
        if sum(self.held) + self.ring.cost(half) > self.ring.halves:
            return []
        buffer, halves = self.ring.take(half)
        self.held.append(halves)
        writes = [{"valid": 1, "buffer": buffer, "word": w, "bits": bitmap >> 64 * w & 2**64 - 1} for w in range(8)]
        return [write for write in writes if write["bits"]]

    def place(self, access: dict) -> int:
        """Where a word lies that is read or written."""
        return self.ring.place(access["buffer"], access["word"])

    def may_write(self, write: dict) -> bool:
        """Whether no read of that place is on its way."""
        return self.reading is None or self.place(self.reading[0]) != self.place(write)

    def drive(self, rate: float, write: dict | None) -> None:
        """A read of some word that was written, not the one that is written now, held until its answer."""
        if self.reading is None and self.gen.random() < rate:
            words = [self.memory[place] for place in self.memory if not write or place != self.place(write)]
            if words:
                self.reading = words[int(self.gen.integers(len(words)))]
                self.waited = 0
        self.dut.bitmap_read_i.value = READ.pack(self.reading[0]) if self.reading else 0

    def sample(self) -> None:
        """At the rising edge: an answer."""
        # Without an answer its bits may be undefined.
        if self.reading and str(self.dut.bitmap_rsp_o.value)[-1 - RESPONSE.fields["valid"].offset] == "1":
            assert RESPONSE.unpack(self.dut.bitmap_rsp_o.value)["bits"] == self.reading[1]
            self.reading = None
            self.answers += 1
        elif self.reading:
            self.waited += 1
            assert self.waited < 3, "a read waits"


async def set_geometry(dut, contexts: Contexts, g: dict) -> int:
    """The layer's constants, and its mask table; returns its context."""
    last_word = sum(max(positions(g, shape)) // 64 << 3 * shape for shape in range(4))
    layer = {"kernel_r": g["r"], "kernel_s": g["s"], "tap_shared": g["tap_shared"]}
    derived = {"win_w": g["win_w"], "last_word": last_word, "half_regions": g["half"]}
    ctx = contexts.show(layer, derived)
    for shape in range(4):
        mask = sum(1 << q for q in positions(g, shape))
        for word in range(max(positions(g, shape)) // 64 + 1):
            bits = mask >> 64 * word & 2**64 - 1
            dut.mask_tab_i.value = MASK.pack({"valid": 1, "ctx": ctx, "shape": shape, "word": word, "bits": bits})
            await FallingEdge(dut.clk_i)
    dut.mask_tab_i.value = 0
    return ctx


async def run(loader: Loader, layers: list[dict], regions: list[tuple[dict, int, int]]) -> int:
    """Send regions (with bitmap and the number of their layer, of one or two) through, compare segments and addresses.

    Returns the cycles between the regions' ends.
    """
    dut = loader.dut
    contexts = [await set_geometry(dut, loader.contexts, g) for g in layers]
    segments, addresses, waiting = loader.segments, loader.addresses, loader.source.waiting
    segments.name, addresses.name = f"segment of {layers}", f"weight address of {layers}"
    for region, bitmap, number in regions:
        more_segments, more_addresses, _ = expected(layers[number], region, bitmap)
        segments.expect(*(segment | {"ctx": contexts[number]} for segment in more_segments))
        addresses.expect(*({"wgt_addr": address} for address in more_addresses))
    written = done = 0  # regions whose bitmap is in memory, and that are done
    writes: list[dict] = []
    done_at: list[int] = []
    cycle = 0

    def offer() -> None:
        """The next region: its bitmap is in memory."""
        region, bitmap, number = regions[written]
        words = sum(bool(bitmap >> 64 * w & 2**64 - 1) << w for w in range(8))
        fields = {k: v for k, v in region.items() if k != "wgt_addr"}
        loader.source.send(fields | {"words": words, "ctx": contexts[number]})

    while done < len(regions) or segments.due:
        # The bitmap of the region after next may be written meanwhile, if a buffer is free.
        if not writes and written < len(regions):
            if regions[written][0]["empty"]:
                offer()
                written += 1
            else:
                writes = loader.write(regions[written][1], layers[regions[written][2]]["half"])
        write = writes.pop() if writes and loader.may_write(writes[-1]) else None
        dut.bitmap_write_i.value = WRITE.pack(write) if write else 0
        dut.region_wgt_addr_i.value = regions[done][0]["wgt_addr"] if done < len(regions) else 0
        loader.drive(loader.read_rate, write)
        await RisingEdge(dut.clk_i)
        cycle += 1
        loader.sample()
        if dut.region_done_o.value:
            done_at.append(cycle)
            done += 1
            assert done <= written - len(waiting), "a region is done before it was taken"
        await FallingEdge(dut.clk_i)
        if write:
            loader.memory[loader.place(write)] = {k: write[k] for k in ("valid", "buffer", "word")}, write["bits"]
            if not writes:
                offer()
                written += 1
    loader.stall(NO_STALLS, NO_STALLS, NO_STALLS)
    dut.bitmap_read_i.value = 0
    for _ in range(8):
        await RisingEdge(dut.clk_i)
        loader.sample()
        await FallingEdge(dut.clk_i)
        assert not dut.segment_valid_o.value
    assert not addresses.due
    loader.reading = None
    await loader.ring.idle(dut, loader.gen)
    return done_at[-1] - done_at[0]


@block_test(us=1000)
async def random_stalls(dut):
    """Random geometries and regions, whole and half ones, of one or two layers, with every mix of stalls."""
    await start(dut)
    loader = Loader(dut, rng())
    region_pos = int(os.environ["RegionPos"])
    mixed = 0
    for _ in range(30):
        layers = [random_geometry(loader.gen, region_pos) for _ in range(loader.gen.integers(1, 3))]
        mixed += len({g["half"] for g in layers}) > 1
        units = [
            [(*region, number) for region in random_regions(loader.gen, layers[number], 1)]
            for number in loader.gen.integers(len(layers), size=4 * len(layers)).tolist()
        ]
        loader.stall(*(STALLS[i] for i in loader.gen.integers(len(STALLS), size=3)))
        loader.read_rate = float(loader.gen.choice([0.0, 0.3, 1.0]))
        await run(loader, layers, [region for unit in units for region in unit])
    assert loader.answers > 100
    assert mixed > 2 or region_pos < 256


@block_test(us=100)
async def full_rate(dut):
    """A segment a cycle, and a cycle for each region."""
    await start(dut)
    loader = Loader(dut, rng())
    region_pos = int(os.environ["RegionPos"])
    for _ in range(10):
        g = random_geometry(loader.gen, region_pos)
        size = ((g["tile_h"] - 1) * g["sy"] + g["r"]) * g["win_w"]
        regions = [
            ({"empty": 0, "last_of_unit": n % 3 == 2, "wgt_addr": 100 * n, "shape": 0}, 2**size - 1, 0)
            for n in range(6)
        ]
        cycles = await run(loader, [g], regions)
        # The stand-in writes a word a cycle, the last buffer's when its last segment has come.
        assert cycles <= 5 + sum(max(expected(g, *region[:2])[2], size // 64 + 5) for region in regions[1:])


@pytest.mark.parametrize(
    "region, regions, sim",
    [(64, 2, "verilator"), (128, 3, "verilator"), (512, 4, "verilator"), (256, 2, "icarus")],
)
def test_pass_generator(run_block, region, regions, sim):
    run_block("spcore_pass_generator", {"RegionPos": region, "NumRegions": regions}, sim=sim)


def test_parameter_check(run_block):
    with pytest.raises(RuntimeError, match="RegionPos = 192, expected a power of two from 64 to 512"):
        run_block("spcore_pass_generator", {"RegionPos": 192})
