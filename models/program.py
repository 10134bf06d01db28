# SPDX-License-Identifier: Apache-2.0
"""A program of the core: what its four engines do in one iteration, the data that goes with it, and its file.

The engines are, in this order everywhere, weights (and parameters), activations, layers, results. Each has a list of
descriptors; each descriptor has a wait for each engine (docs/programs.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import lines
from models.descriptor import Descriptor
from models.lines import Lines, LineShape
from models.network import Images, Network, count_of, taken
from models.reference import Bytes
from models.stream import Packet, packets_of

ENGINES = ("weights", "activations", "layers", "results")
LAYERS = ENGINES.index("layers")
OPEN = (1, 1, 2, 1)  # descriptors of an engine that may be at work at a time
WAIT_BITS = 15  # of a wait's count; the bit above says that it is of the previous iteration
COUNT_BITS = 24
_ENGINE_REGISTERS = ("RUN_WGT", "RUN_ACT", "RUN_LAYER", "RUN_RES")
WORDS = (2, 3, 16, 2)  # of a descriptor of each engine
_SIGNED = {"clamp_lo": 9, "clamp_hi": 9, "pad_top": 8, "pad_left": 8}  # fields in two's complement, and their bits

# The registers that describe a layer, from the lowest address up: fields and their lowest bits.
LAYER_REGISTERS: dict[str, dict[str, int]] = {
    "LAYER_MODE": {
        "k_log2": 0,
        "m_log2": 4,
        "act_signed": 8,
        "out_signed": 9,
        "skip": 10,
        "maximum": 11,
        "tap_shared": 12,
        "residual": 13,
        "res_signed": 14,
        "out_append": 15,
        "out_section": 16,
        "keep_slot": 21,
        "continue_slot": 22,
    },
    "LAYER_IN_C": {"in_c": 0},
    "LAYER_IN_H": {"in_h": 0},
    "LAYER_IN_W": {"in_w": 0},
    "LAYER_OUT_K": {"out_k": 0},
    "LAYER_OUT_H": {"out_h": 0},
    "LAYER_OUT_W": {"out_w": 0},
    "LAYER_KERNEL": {"kernel_r": 0, "kernel_s": 8, "stride_y": 16, "stride_x": 18},
    "LAYER_LINE": {"line_h": 0, "line_w": 8},
    "LAYER_LINES": {"lines_y": 0, "lines_x": 16},
    "LAYER_TILE": {"tile_h": 0, "tile_w": 8},
    "LAYER_TILES": {"tiles_y": 0, "tiles_x": 16},
    "LAYER_CHUNKS": {"chunks": 0},
    "LAYER_SPLIT": {"splits": 0, "split_c": 16},
    "LAYER_WGT_BASE": {"wgt_base": 0},
    "LAYER_PAR_BASE": {"par_base": 0},
    "LAYER_IN_IDX_BASE": {"in_idx_base": 0},
    "LAYER_OUT_IDX_BASE": {"out_idx_base": 0},
    "LAYER_OUT_ACT_BASE": {"out_act_base": 0},
    "LAYER_OUT_ACT_LIMIT": {"out_act_limit": 0},
    "LAYER_CLAMP": {"clamp_lo": 0, "clamp_hi": 16},
    "LAYER_PAD": {"pad_top": 0, "pad_left": 8},
    "LAYER_IN_PITCH": {"in_pitch": 0},
    "LAYER_OUT_PITCH": {"out_pitch": 0},
    "LAYER_GROUP": {"group_c": 0, "group_chunks": 16},
    "LAYER_GROUPS": {"groups": 0},
    "LAYER_RES_IDX_BASE": {"res_idx_base": 0},
    "LAYER_RES_PITCH": {"res_pitch": 0},
    "LAYER_RES_MULTIPLIER": {"res_multiplier": 0},
    "LAYER_RES_SHIFT": {"res_shift": 0},
}


@dataclass(frozen=True)
class Wait:
    """Not before an engine has retired `count` descriptors of this iteration or, with `previous`, of the one before;
    in the first iteration a wait for the one before is met. A count of 0 is no wait."""

    count: int = 0
    previous: bool = False

    @property
    def word(self) -> int:
        """The wait in 16 bits."""
        return self.count | self.previous << WAIT_BITS


Waits = tuple[Wait, Wait, Wait, Wait]
NO_WAITS: Waits = (Wait(), Wait(), Wait(), Wait())


@dataclass(frozen=True)
class Part:
    """Lines of a tensor of one image and where they lie: those of the channels [first, last) and rows [top, bottom),
    cut into blocks from row `top` on, of block line_h x line_w. Line n of a channel is at index entry
    ``base + (channel - first) * pitch + n``. image: its number in the batch.
    """

    tensor: str
    image: int
    first: int
    last: int
    top: int
    bottom: int
    line_h: int
    line_w: int
    base: int
    pitch: int

    @property
    def block(self) -> LineShape:
        """Positions of a line."""
        return LineShape(self.line_h, self.line_w)

    def cut(self, tensor: Bytes) -> Bytes:
        """What of a tensor (C, H, W) lies here."""
        return tensor[self.first : self.last, self.top : self.bottom]

    def lines(self, tensor: Bytes) -> Lines:
        """The lines that lie here, of the whole tensor (C, H, W)."""
        return lines.compress(self.cut(tensor), self.block)

    def entries(self, width: int) -> npt.NDArray[np.int64]:
        """Index entries, int64 (channels, lines), of a tensor of so many columns."""
        rows, columns = self.block.grid(self.bottom - self.top, width)
        found: npt.NDArray[np.int64] = (
            self.base + np.arange(self.last - self.first)[:, None] * self.pitch + np.arange(rows * columns)
        )
        return found


@dataclass(frozen=True)
class WeightLoad:
    """A load of weights or of parameters: `count` vectors or entries from `base` on. data: the first of its beats in
    `Program.beats`; node: for which one."""

    waits: Waits
    base: int
    count: int
    parameters: bool
    data: int
    node: str
    k_log2: int = 0
    m_log2: int = 0

    def words(self) -> list[int]:
        """The descriptor."""
        place = (self.base, 0, 24), (self.parameters, 31, 1), (self.count, 32, 24)
        return [_waits_word(self.waits), _joined(*place, (self.k_log2, 56, 2), (self.m_log2, 60, 3))]


@dataclass(frozen=True)
class ActivationLoad:
    """A load of lines to the index entries from idx_base on and the section of words [base, limit). line_pos:
    positions of a line; part: what it brings."""

    waits: Waits
    idx_base: int
    lines: int
    line_pos: int
    base: int
    limit: int
    part: Part

    def words(self) -> list[int]:
        """The descriptor."""
        lines_word = _joined((self.idx_base, 0, 24), (self.line_pos, 24, 7), (self.lines, 32, 24))
        return [_waits_word(self.waits), lines_word, _joined((self.base, 0, 24), (self.limit, 32, 24))]


@dataclass(frozen=True)
class LayerStep:
    """A layer. part: what it writes; node: the network's node that it calculates, or a part of; source, residual: what
    it reads; weights, parameters: the first of its beats in `Program.beats`; predicted, tail: by the cycle model.
    """

    waits: Waits
    descriptor: Descriptor
    node: str
    part: Part
    source: Part
    residual: Part | None
    weights: int
    parameters: int
    predicted: int = 0
    tail: int = 0

    def words(self) -> list[int]:
        """The descriptor."""
        registers = layer_registers(self.descriptor)
        pairs = zip(registers[::2], registers[1::2], strict=True)
        return [_waits_word(self.waits), *(low | high << 32 for low, high in pairs)]


@dataclass(frozen=True)
class ResultTransfer:
    """Lines from consecutive index entries to the result stream. part: what it brings."""

    waits: Waits
    idx_base: int
    lines: int
    part: Part

    def words(self) -> list[int]:
        """The descriptor."""
        return [_waits_word(self.waits), _joined((self.idx_base, 0, 24), (self.lines, 32, 24))]


Step = WeightLoad | ActivationLoad | LayerStep | ResultTransfer


def _joined(*parts: tuple[int, int, int]) -> int:
    """Values, each with its lowest bit and number of bits, in one word. Raises ValueError for one that is too large."""
    word = 0
    for value, low, bits in parts:
        if not 0 <= value < 1 << bits:
            raise ValueError(f"program: {value} does not fit into {bits} bits of a descriptor")
        word |= value << low
    return word


def _waits_word(waits: Waits) -> int:
    for wait in waits:
        _joined((wait.count, 0, WAIT_BITS))
    return sum(wait.word << 16 * engine for engine, wait in enumerate(waits))


def layer_registers(descriptor: Descriptor) -> list[int]:
    """The values of LAYER_REGISTERS, in order."""
    values = descriptor.as_dict()
    return [
        sum((values[field] & ((1 << _SIGNED.get(field, 32)) - 1)) << low for field, low in places.items())
        for places in LAYER_REGISTERS.values()
    ]


def descriptor_of(registers: Iterable[int]) -> Descriptor:
    """Inverse of `layer_registers`."""
    found: dict[str, int] = {}
    for value, places in zip(registers, LAYER_REGISTERS.values(), strict=True):
        ends = [*list(places.values())[1:], 32]
        for (field, low), end in zip(places.items(), ends, strict=True):
            bits = _SIGNED.get(field, end - low)
            found[field] = value >> low & ((1 << bits) - 1)
            if field in _SIGNED:
                found[field] -= found[field] >> bits - 1 << bits
    return Descriptor(**found)


@dataclass(frozen=True)
class Program:
    """What the engines do in an iteration, in lists of their descriptors, and the data of a run.

    config: name of the configuration; network: what it calculates; batch: images of an iteration;
    beats: uint8 (beats, bytes of the weight stream), what the weight loads bring, in every iteration the same;
    images: of each input iterations * batch, of which iteration i takes those from i * batch on.
    """

    config: str
    network: Network
    batch: int
    weights: tuple[WeightLoad, ...]
    activations: tuple[ActivationLoad, ...]
    layers: tuple[LayerStep, ...]
    results: tuple[ResultTransfer, ...]
    beats: npt.NDArray[np.uint8]
    images: Images

    @property
    def iterations(self) -> int:
        """Iterations of the run."""
        return count_of(self.images) // self.batch

    @property
    def engines(self) -> tuple[Sequence[Step], ...]:
        """The lists in the order of ENGINES."""
        return self.weights, self.activations, self.layers, self.results

    def with_images(self, images: Images) -> Program:
        """The same program for other images. Raises ValueError unless they are whole batches of the right shapes."""
        inputs = self.network.inputs
        if set(images) != set(inputs):
            raise ValueError(f"images: of {', '.join(images) or 'nothing'}, expected of {', '.join(inputs)}")
        for name, given in inputs.items():
            kind, shape, found = given.example.dtype, given.example.shape, images[name]
            if found.dtype != kind or found.shape[1:] != shape or not len(found) or len(found) % self.batch:
                raise ValueError(
                    f"images of {name}: {found.dtype} {found.shape}, expected {kind} "
                    f"(N, {', '.join(map(str, shape))}), N a multiple of the batch, {self.batch}"
                )
        count_of(images)
        return replace(self, images=images)

    def encode(self) -> tuple[npt.NDArray[np.uint64], dict[str, int]]:
        """The words for the Program Memory from address 0 on, and the run registers' values.

        Raises ValueError for a value that does not fit its field.
        """
        words: list[int] = []
        registers: dict[str, int] = {}
        for name, steps in zip(_ENGINE_REGISTERS, self.engines, strict=True):
            registers |= {f"{name}_BASE": len(words), f"{name}_COUNT": len(steps)}
            words += [word for step in steps for word in step.words()]
        return np.array(words, np.uint64), registers | {"RUN_ITERATIONS": self.iterations}

    # What the environment drives and expects.

    def weight_beats(self, load: WeightLoad) -> list[int]:
        """The packet of a weight load: TDATA of each beat."""
        rows = self.beats[load.data : load.data + load.count]
        return [int.from_bytes(row.tobytes(), "little") for row in rows]

    def input_packets(self, load: ActivationLoad, iteration: int, stream_bytes: int) -> list[Packet]:
        """The packets of an activation load, one a line."""
        image = self.images[load.part.tensor][iteration * self.batch + load.part.image]
        return packets_of(load.part.lines(image), stream_bytes)

    def tensors(self, iteration: int) -> dict[str, Bytes]:
        """All tensors of an iteration by name, uint8 or int8 (batch, C, H, W)."""
        return self._runs[iteration]

    def expected_lines(self, part: Part, iteration: int) -> Lines:
        """The lines that have to lie where a part says."""
        return part.lines(self.tensors(iteration)[part.tensor][part.image])

    def result_packets(self, transfer: ResultTransfer, iteration: int, stream_bytes: int) -> list[Packet]:
        """The packets that a result transfer has to bring, one a line."""
        return packets_of(self.expected_lines(transfer.part, iteration), stream_bytes)

    @cached_property
    def _runs(self) -> _Runs:
        return _Runs(self)

    # The file.

    def save(self, path: str | Path) -> None:
        """Write the program and all that goes with it as one compressed NPZ file."""
        lists = {name: [asdict(step) for step in steps] for name, steps in zip(ENGINES, self.engines, strict=True)}
        header = json.dumps({"config": self.config, "batch": self.batch, **lists})
        arrays: dict[str, Any] = {f"network.{name}": array for name, array in self.network.pack().items()}
        arrays |= {f"images.{number}": self.images[name] for number, name in enumerate(self.network.inputs)}
        np.savez_compressed(path, program=np.array(header), beats=self.beats, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Program:
        """Read what `save` wrote. Raises ValueError, which names the file, for one that is no program."""
        try:
            with np.load(path, allow_pickle=False) as npz:
                header = json.loads(str(npz["program"]))
                packed = {name.removeprefix("network."): npz[name] for name in npz if name.startswith("network.")}
                kinds = zip(ENGINES, (WeightLoad, ActivationLoad, LayerStep, ResultTransfer), strict=True)
                lists: dict[str, Any] = {
                    name: tuple(_step(kind, step) for step in header[name]) for name, kind in kinds
                }
                network = Network.unpack(packed)
                images = {name: npz[f"images.{number}"] for number, name in enumerate(network.inputs)}
                data = {"beats": npz["beats"], "images": images}
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file") from None
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: no program of this project ({error})") from None
        return cls(header["config"], network, header["batch"], **lists, **data)


class _Runs(dict[int, dict[str, Bytes]]):
    """Tensors by iteration, calculated when they are asked for; only the last iterations are kept."""

    def __init__(self, program: Program):
        super().__init__()
        self.program = program

    def __missing__(self, iteration: int) -> dict[str, Bytes]:
        first = iteration * self.program.batch
        while len(self) > 1:  # engines are at most an iteration apart
            del self[next(iter(self))]
        images = taken(self.program.images, slice(first, first + self.program.batch))
        self[iteration] = self.program.network.run(images)
        return self[iteration]


def _step(kind: type[Any], values: dict[str, Any]) -> Any:
    """A descriptor from the file's."""
    nested: dict[str, Any] = {"waits": tuple(Wait(**wait) for wait in values["waits"])}
    nested |= {name: Part(**values[name]) for name in ("part", "source", "residual") if values.get(name)}
    if "descriptor" in values:
        nested["descriptor"] = Descriptor(**values["descriptor"])
    return kind(**values | nested)


def decode(words: npt.NDArray[np.uint64], registers: dict[str, int]) -> tuple[list[tuple[Waits, dict[str, int]]], ...]:
    """Inverse of `Program.encode`: by engine the descriptors' waits and fields by name."""
    found = []
    for engine, (name, size) in enumerate(zip(_ENGINE_REGISTERS, WORDS, strict=True)):
        base, count = registers[f"{name}_BASE"], registers[f"{name}_COUNT"]
        block = words[base : base + count * size].reshape(count, size).tolist()
        found.append([(_waits_of(first), _FIELDS[engine](rest)) for first, *rest in block])
    return tuple(found)


def _waits_of(word: int) -> Waits:
    parts = (word >> 16 * engine & 0xFFFF for engine in range(len(ENGINES)))
    a, b, c, d = (Wait(part & (1 << WAIT_BITS) - 1, bool(part >> WAIT_BITS)) for part in parts)
    return a, b, c, d


def _low(word: int) -> int:
    return word & (1 << COUNT_BITS) - 1


def _high(word: int) -> int:
    return _low(word >> 32)


_FIELDS = (
    lambda w: {
        "base": _low(w[0]),
        "parameters": w[0] >> 31 & 1,
        "count": _high(w[0]),
        "k_log2": w[0] >> 56 & 3,
        "m_log2": w[0] >> 60 & 7,
    },
    lambda w: {
        "idx_base": _low(w[0]),
        "line_pos": w[0] >> 24 & 0x7F,
        "lines": _high(w[0]),
        "base": _low(w[1]),
        "limit": _high(w[1]),
    },
    lambda w: descriptor_of(half for word in w for half in (word & 0xFFFFFFFF, word >> 32)).as_dict(),
    lambda w: {"idx_base": _low(w[0]), "lines": _high(w[0])},
)
