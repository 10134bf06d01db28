# SPDX-License-Identifier: Apache-2.0
"""The synthesised core, from docs/study/synth.json, and what other sizes of it would be."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

from models.config import Config, load_config
from models.energy import ENTRY_BITS, LANE_BITS, WORD_BITS, Technology
from models.systems.system import ACTIVATION_BYTES, WEIGHT_BYTES

FILE = Path(__file__).resolve().parents[2] / "docs" / "study" / "synth.json"
BASE = "paper"

# Units of a PE; those of them that grow with the lanes; what decodes indices, by what keeps it at work.
LANES = ("mac_array", "acc_quad")
DECODING = {
    "positions": ("pass_generator", "weight_queue", "scanner"),
    "lines": ("line_fetch", "region_loader"),
}
_PE = (*LANES, *(unit for units in DECODING.values() for unit in units), "drain_ctrl", "unit_queue", "pe")
# Units outside the PEs: what serves memories, what outputs go through.
MEMORY = ("request_group", "banked_mem", "weight_store", "activation_store", "scheduler", "tile_tables")
_OUTPUT = (
    *("drain_arbiter", "drain_node", "tile_mask", "staging_buffer", "slot_reader", "requantize_lanes", "requantize"),
    *("line_compressor", "streaming_processor", "line_writer", "output_stage"),
)
# At rest while a layer is computed.
_OTHER = (
    *("layer_setup", "param_mem", "counters", "layer_counters", "host", "program", "sequencer"),
    *("weight_loader", "activation_loader", "result_streamer"),
)
KNOWN = (*_PE, *MEMORY, *_OUTPUT, *_OTHER, "sparsecore")
# Of those outside the PEs that grow with the PEs, or with the width of an accumulator row.
_PER_PE = ("request_group",)
_PER_LANE = ("drain_node", "staging_buffer", "slot_reader")


@dataclass(frozen=True)
class Unit:
    """A unit of the core: how many, area of one in GE, its longest path in FO4, flip-flops, bits of its memories."""

    name: str
    count: int
    area_ge: float
    path_fo4: float
    flip_flops: int
    memory_bits: int

    @property
    def kind(self) -> str:
        """Its module, without prefix and parameters."""
        return self.name.removeprefix("spcore_").partition("(")[0]

    @property
    def in_pe(self) -> bool:
        return self.kind in _PE


@cache
def data() -> Mapping[str, Any]:
    """The whole record."""
    found: Mapping[str, Any] = json.loads(FILE.read_text())
    return found


@cache
def units() -> tuple[Unit, ...]:
    """All units of the `paper` configuration."""
    keys = ("count", "area_ge", "path_fo4", "flip_flops", "memory_bits")
    return tuple(Unit(name, *(found[key] for key in keys)) for name, found in data()["units"].items())


@dataclass(frozen=True)
class FlipFlops:
    """Those of one PE by unit, of what serves memories by unit, of what outputs go through."""

    pe: Mapping[str, float]
    memories: Mapping[str, float]
    outputs: float


@cache
def flip_flops() -> FlipFlops:
    """Of the `paper` configuration."""
    pes = load_config(BASE).NumPe

    def of(kinds: tuple[str, ...]) -> float:
        return sum(u.flip_flops * u.count for u in units() if u.kind in kinds)

    return FlipFlops({kind: of((kind,)) / pes for kind in _PE}, {kind: of((kind,)) for kind in MEMORY}, of(_OUTPUT))


def decoding_ge(part: str) -> float:
    """Gates of one PE that decode indices of `positions` or `lines`."""
    return sum(u.area_ge for u in units() if u.kind in DECODING[part])


def _grows(unit: Unit, config: Config, base: Config) -> float:
    """How many times as much of a unit a configuration has, by what it consists of."""
    pes, lanes = config.NumPe / base.NumPe, config.NumLanes / base.NumLanes
    if unit.kind in LANES:
        return pes * lanes
    if unit.in_pe or unit.kind in _PER_PE:
        return pes
    if unit.kind in _PER_LANE:
        return lanes
    if unit.kind == "banked_mem":
        if "Width=192" in unit.name:
            return lanes * config.WgtBanks / base.WgtBanks
        return config.ActBanks / base.ActBanks if "Width=64" in unit.name else config.IdxBanks / base.IdxBanks
    return 1.0


def logic_ge(config: Config) -> float:
    """Gates of a configuration, from the synthesised one by the number and width of its units."""
    base = load_config(BASE)
    return sum(u.area_ge * u.count * _grows(u, config, base) for u in units())


def memory_bits(config: Config) -> float:
    """Bits of all memories of a configuration."""
    base = load_config(BASE)
    shared = (
        config.WgtBanks * config.WgtDepth * LANE_BITS * config.NumLanes
        + config.ActBanks * config.ActDepth * WORD_BITS
        + config.IdxBanks * config.IdxDepth * ENTRY_BITS
    )
    return shared + sum(
        u.memory_bits * u.count * _grows(u, config, base)
        for u in units()
        if u.kind not in ("banked_mem", "request_group")
    )


def area_mm2(config: Config, technology: Technology) -> float:
    """Logic and memories, before layout."""
    um2 = logic_ge(config) * technology.ge_um2 + memory_bits(config) * technology.bit_um2
    return um2 / 1e6


@dataclass(frozen=True)
class Sides:
    """Of a machine as a square, and of its PEs alone, in mm."""

    machine: float
    pes: float


def sides(technology: Technology) -> Sides:
    """Of the `paper` configuration."""
    pes = sum(
        u.count * (u.area_ge * technology.ge_um2 + u.memory_bits * technology.bit_um2) for u in units() if u.in_pe
    )
    return Sides(sqrt(area_mm2(load_config(BASE), technology)), sqrt(pes / 1e6))


def dense_sides(technology: Technology, lane_ge: float) -> Sides:
    """Of a dense machine with as many lanes of ``lane_ge`` gates, memories of as many bytes, and the core's output
    stage."""
    base = load_config(BASE)
    outputs = sum(u.count * u.area_ge for u in units() if u.kind in _OUTPUT)
    pes = base.NumPe * base.NumLanes * lane_ge * technology.ge_um2
    whole = pes + outputs * technology.ge_um2 + 8 * (WEIGHT_BYTES + ACTIVATION_BYTES) * technology.bit_um2
    return Sides(sqrt(whole / 1e6), sqrt(pes / 1e6))
