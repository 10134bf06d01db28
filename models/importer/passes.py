# SPDX-License-Identifier: Apache-2.0
"""From an ONNX file to the integer network, pass by pass; each is held against ONNX Runtime on calibration inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from models.importer import host, modes, ranges, read
from models.importer.float_network import FloatNetwork
from models.importer.fold import fold
from models.importer.host import Parts
from models.importer.lower import lower, made, to_integers
from models.importer.modes import Cut
from models.importer.onnx_graph import Graph
from models.importer.ranges import Range
from models.importer.runtime import Array, Session, Tensors, distance, unsaturated
from models.network import INPUT, Network
from models.qdq import node_qdq
from models.reference import Bytes

COMPARED = 4  # calibration inputs on which passes are compared
# Root mean squares of what a pass may change, in those of the tensor: rounding in another order, rounding to steps at
# other places (quantised files), rounding to steps at all.
EXACT, ROUNDED, QUANTISED = 1e-3, 0.1, 0.5
# Of the largest value: a tensor of smaller ones is compared as if they were so large. The second where steps are.
_LEAST, _LEAST_ROUNDED = 1e-4, 0.05


@dataclass(frozen=True)
class Imported:
    """A network and what the host does around it.

    network, ranges: integers, and the range of each float tensor; floats: the same in float, pruned; ends: for each
    tensor of the ONNX graph where the core ends, the float network's; method: how ranges were chosen, None where the
    file has them all; cuts: what pruning took, by node; distances: of each node's values from the float network's, and
    of each output's from the file's, on the calibration inputs; examples: some of
    these as the core's images.
    """

    graph: Graph
    parts: Parts
    floats: FloatNetwork
    ends: dict[str, str]
    ranges: dict[str, Range]
    network: Network
    method: str | None
    cuts: dict[str, Cut]
    distances: dict[str, float]
    outputs: dict[str, float]
    calibrated: bool
    examples: Bytes

    @property
    def host(self) -> list[str]:
        """What the host does, a line each."""
        lines = [f"{op.name}: {op.operator}, before the first layer" for op in self.parts.head]
        given = self.ranges[self.floats.input]
        lines.append(f"input in steps of {given.scale:.6g} as {'uint8' if given.unsigned else 'int8'}")
        return lines + [f"{op.name}: {op.operator}, behind the last layer" for op in self.parts.tail]

    def prepare(self, inputs: Array) -> Bytes:
        """The core's images (N, C, H, W) of the file's inputs. Raises ValueError for a wrong shape, type or value."""
        return to_integers(_planes(self.floats, _start(self.graph, self.parts, inputs)), self.ranges[self.floats.input])

    def finish(self, tensors: dict[str, Bytes]) -> Tensors:
        """The file's outputs, batch first, from the core's."""
        names = dict(zip(self.floats.outputs, self.network.outputs, strict=True)) | {self.floats.input: INPUT}
        ends: Tensors = {}
        for name, tensor in self.ends.items():
            value = tensors[names[tensor]] * np.float32(self.ranges[tensor].scale)
            quant, dtype = self.floats.quant_of(tensor), self.graph.dtypes[name]
            if dtype.kind in "iu" and quant is not None:  # the file's integers
                value = np.clip(np.rint(value / quant.scale) + quant.zero, quant.low, quant.high).astype(dtype)
            ends[name] = value.reshape(len(value), *self.graph.shapes[name][1:])
        return _outputs(self.graph, self.parts, ends)

    def tensors(self, found: dict[str, Bytes]) -> Tensors:
        """The core's tensors by their names in the file, as values, float32, batch first: those of them that still are
        one. found: by the integer network's names, parts of concatenations at least."""
        found, values = dict(found), {}
        for step, node in made(self.floats, self.network):
            if node.op == "concat" and node.name not in found:
                parts = [found[name] for name in (node.source, *node.others)]
                found[node.name] = np.concatenate(parts, 1, dtype=node.dtype, casting="unsafe")
            if step.output in self.graph.shapes:
                value = found[node.name] * np.float32(self.ranges[step.output].scale)
                values[step.output] = value.reshape(len(value), *self.graph.shapes[step.output][1:])
        return values

    def original(self, inputs: Array) -> Tensors:
        """The file's outputs by ONNX Runtime."""
        inputs = inputs.astype(self.graph.dtypes[self.graph.input])
        session = Session(unsaturated(self.graph.original), self.graph.outputs)
        return _by_chunks(self.graph, session, {self.graph.input: inputs})

    def run(self, inputs: Array) -> Tensors:
        """The file's outputs by the integer network."""
        return self.finish(self.network.run(self.prepare(inputs)))


def check_inputs(graph: Graph, inputs: Array, what: str) -> None:
    """Raise ValueError unless an array holds inputs (N, ...) of the file's shape and type."""
    shape, dtype = graph.shapes[graph.input][1:], graph.dtypes[graph.input]
    if inputs.shape[1:] != shape or not len(inputs) or inputs.ndim != len(shape) + 1:
        raise ValueError(f"{what}: shape {inputs.shape}, expected (N, {', '.join(map(str, shape))})")
    if inputs.dtype != dtype and (dtype.kind != "f" or inputs.dtype.kind not in "fiu"):
        raise ValueError(f"{what}: dtype {inputs.dtype}, expected {dtype}")
    if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
        at = np.argwhere(~np.isfinite(inputs))[0].tolist()
        raise ValueError(f"{what}: {inputs[tuple(at)]} at {at}, expected finite values")


def _chunks(graph: Graph, inputs: Array) -> list[Array]:
    """Inputs in batches that the file takes, the last filled up."""
    size = graph.batch or 1
    whole = np.concatenate([inputs, np.repeat(inputs[-1:], -len(inputs) % size, 0)])
    return [whole[first : first + size] for first in range(0, len(whole), size)]


def _by_chunks(graph: Graph, session: Session, feeds: Tensors) -> Tensors:
    """What a part of the file makes, batch by batch."""
    count = len(next(iter(feeds.values())))
    chunks = {name: _chunks(graph, array) for name, array in feeds.items()}
    found = [
        session.run({name: parts[n] for name, parts in chunks.items()}) for n in range(len(next(iter(chunks.values()))))
    ]
    return {name: np.concatenate([part[name] for part in found])[:count] for name in session.names}


def _start(graph: Graph, split: Parts, inputs: Array) -> Array:
    """The tensor that the core reads, as values or as the file's integers."""
    check_inputs(graph, inputs, f"input {graph.input}")
    inputs = inputs.astype(graph.dtypes[graph.input])
    if not split.head:
        return inputs
    session = Session(graph.part(split.head, (split.start,)))
    return _by_chunks(graph, session, {graph.input: inputs})[split.start]


def _planes(floats: FloatNetwork, start: Array) -> Array:
    """Values (N, C, H, W), float32; integers of the file by its scale."""
    if start.dtype.kind in "iu" and floats.quant is not None:
        start = (start.astype(np.float64) - floats.quant.zero) * floats.quant.scale
    return start.reshape(len(start), *floats.shape).astype(np.float32)


def _outputs(graph: Graph, split: Parts, ends: Tensors) -> Tensors:
    found = dict(ends)
    if split.tail:
        wanted = tuple(name for name in graph.outputs if name not in ends)
        session = Session(graph.part(split.tail, wanted))
        read = {name for operation in split.tail for name in operation.inputs}
        feeds = {name: value.astype(graph.dtypes[name]) for name, value in ends.items() if name in read}
        found |= _by_chunks(graph, session, feeds)
    return {name: found[name] for name in graph.outputs}


def _compare(what: str, found: Tensors, wanted: Tensors, limit: float, nodes: dict[str, str]) -> dict[str, float]:
    """Distances by tensor. Raises ValueError for the first that exceeds the limit, which names pass and node."""
    largest = {"i": 0.0, "f": 0.0}  # of integers and of values
    for value in wanted.values():
        kind = "f" if value.dtype.kind == "f" else "i"
        largest[kind] = max(largest[kind], float(np.abs(value.astype(np.float64)).max(initial=0)))
    share = _LEAST if limit == EXACT else _LEAST_ROUNDED
    distances = {}
    for name, value in found.items():
        expected = wanted[name].astype(np.float64)
        size = np.sqrt(np.square(expected).mean())
        least = share * largest["f" if wanted[name].dtype.kind == "f" else "i"]
        scale = size / max(size, least, 1e-30)
        distances[name] = apart = distance(value, expected) * scale
        if not apart <= limit:
            raise ValueError(
                f"{what}: {nodes.get(name, name)}: values differ by {100 * apart:.3g} % from ONNX Runtime's, "
                f"expected at most {100 * limit:.3g} %"
            )
    return distances


def _noise(graph: Graph) -> Array:
    """Inputs where none are given: uniform from 0 to 1, or all bytes."""
    rng, shape, dtype = np.random.default_rng(0), graph.shapes[graph.input][1:], graph.dtypes[graph.input]
    if dtype.kind in "iu":
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, (COMPARED, *shape), dtype)
    return rng.random((COMPARED, *shape)).astype(dtype)


def bring(
    source: str | Path | onnx.ModelProto,
    calibration: Array | None = None,
    mode: str = modes.AUTO,
    prune: bool = False,
    until: str = "",
) -> Imported:
    """The integer network of an ONNX file or model.

    calibration: inputs (N, ...) as the file takes them, some hundreds, from which scales are chosen that the file does
    not give; without, noise; mode: k/m of convolutions, `modes.parse`; prune: remove weights that break it; until: a
    node or tensor at which to stop.
    Raises ValueError, in one line, for what is not supported and for a pass that changes values by too much.
    """
    graph = read.read(source if isinstance(source, onnx.ModelProto) else read.load(source))
    if until:
        graph = host.until(graph, until)
    split = host.split(graph)
    planes = host.planes(graph, split)
    if calibration is not None:
        check_inputs(graph, calibration, "calibration")
    inputs = (_noise(graph) if calibration is None else calibration).astype(graph.dtypes[graph.input])
    wanted = _original(graph, inputs[:COMPARED])
    _check_read(graph, inputs[:COMPARED], wanted)
    floats, ends = fold(graph, split, planes)
    values = _planes(floats, _start(graph, split, inputs))
    nodes = {step.output: step.name for step in floats.steps}
    _check_fold(graph, floats, values[:COMPARED], wanted, nodes)
    floats, cuts = modes.apply(floats, table := modes.parse(mode, floats), prune)
    floats = ranges.one_scale(floats)
    why = ranges.needs_calibration(floats)
    if why is not None and calibration is None and (not graph.exact or floats.quantised):
        raise ValueError(f"{why}: a quantised file that needs calibration inputs (CALIB=)")
    samples = ranges.record(floats, values)
    nodes = {step.output: step.name for step in floats.steps}
    names = [step.output for step in floats.steps]
    floating = Session(floats.model(names)).run({f"{floats.input}/given": values[:COMPARED]})
    found: list[tuple[float, str, dict[str, Range], Network, dict[str, float]]] = []
    for method in ranges.METHODS if why is not None else (ranges.METHODS[0],):
        chosen = ranges.choose(floats, samples, method)
        images = to_integers(values[:COMPARED], chosen[floats.input])
        network = lower(floats, chosen, images[0], table)
        tensors = _run(network, images)
        scaled = {step.output: tensors[node.name] * node.scale for step, node in made(floats, network)}
        apart = _compare("quantise", scaled, floating, QUANTISED, nodes)
        found.append((max(apart[name] for name in floats.outputs), method, chosen, network, apart))
    _, method, chosen, network, apart = min(found, key=lambda entry: entry[0])
    tensors = _run(network, images := to_integers(values[:COMPARED], chosen[floats.input]))
    _check_nodes(network, tensors)
    imported = Imported(
        graph,
        split,
        floats,
        ends,
        chosen,
        network,
        method if why is not None else None,
        cuts,
        {step.name: apart[step.output] for step in floats.steps},
        {},
        calibration is not None,
        images,
    )
    given = imported.finish(tensors)
    outputs = {name: distance(given[name], wanted[name]) for name in graph.outputs if name in wanted}
    imported.outputs.update(outputs)
    return imported


def _run(network: Network, images: Bytes) -> dict[str, Bytes]:
    """All tensors; an accumulator that overflows is named with its node."""
    tensors: dict[str, Bytes] = {INPUT: images}
    for node in network.nodes:
        try:
            tensors[node.name] = node.run(tensors)
        except ValueError as error:
            raise ValueError(f"{node.name}: {error}") from None
    return tensors


def _original(graph: Graph, inputs: Array) -> Tensors:
    """All tensors of the file as it is."""
    made = {name for node in graph.original.graph.node for name in node.output if name}
    made -= graph.values
    names = [name for operation in graph.operations for name in operation.outputs if name in made]
    if not names:  # within functions of the file
        names = list(graph.outputs)
    return _by_chunks(graph, Session(unsaturated(graph.original), dict.fromkeys(names)), {graph.input: inputs})


def _check_read(graph: Graph, inputs: Array, wanted: Tensors) -> None:
    """What was taken apart and calculated ahead, against the file."""
    nodes = {name: operation.name for operation in graph.operations for name in operation.outputs}
    part = Session(graph.part(graph.operations, tuple(wanted)))
    found = _by_chunks(graph, part, {graph.input: inputs})
    _compare("read", found, wanted, EXACT if graph.exact else ROUNDED, nodes)


def _check_fold(graph: Graph, floats: FloatNetwork, values: Array, wanted: Tensors, nodes: dict[str, str]) -> None:
    """Steps against the file's tensors, those of integers by their scales."""
    names = [step.output for step in floats.steps if step.output in wanted]
    found = Session(floats.model(names)).run({f"{floats.input}/given": values})
    quants = {step.output: floats.quant_of(step.output) for step in floats.steps}
    scaled = {}
    for name in names:
        value, quant = wanted[name], quants[name]
        if value.dtype.kind in "iu" and quant is not None:
            value = (value.astype(np.float64) - quant.zero) * quant.scale
        scaled[name] = value
    rounds = any(quant is not None for quant in (*quants.values(), floats.quant)) or not graph.exact
    _compare("fold", found, scaled, ROUNDED if rounds else EXACT, nodes)


def _check_nodes(network: Network, tensors: dict[str, Bytes]) -> None:
    """Each node on what the integer network gives it, against ONNX Runtime: at most one step apart."""
    for node in network.nodes:
        found = Session(node_qdq(network, node), [node.name]).run({name: tensors[name] for name in node.reads})
        apart = np.abs(found[node.name].astype(int) - tensors[node.name])
        if apart.max() > 1:
            raise ValueError(
                f"lower: {node.name}: values differ by {apart.max()} steps from ONNX Runtime's, expected 1"
            )
