# SPDX-License-Identifier: Apache-2.0
"""From an ONNX file to the integer network, pass by pass; each is held against ONNX Runtime on calibration inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from models.importer import host, modes, ranges, read
from models.importer.float_network import FloatNetwork
from models.importer.fold import fold
from models.importer.host import Parts
from models.importer.lower import given_names, lower, made, to_images
from models.importer.modes import Cut
from models.importer.onnx_graph import Graph
from models.importer.ranges import Range
from models.importer.runtime import Array, Session, Tensors, distance, unsaturated
from models.network import Images, Network
from models.qdq import node_qdq
from models.reference import Bytes

COMPARED = 4  # calibration inputs on which passes are compared
# Root mean squares of what a pass may change, in those of the tensor: rounding in another order, rounding to steps at
# other places (quantised files), rounding to steps at all.
EXACT, ROUNDED, QUANTISED = 1e-3, 0.1, 0.5
Inputs = Array | Mapping[str, Array]  # by name, (N, ...) each; of a file with one input the array alone will do
# Of the largest value: a tensor of smaller ones is compared as if they were so large. The second where steps are.
_LEAST, _LEAST_ROUNDED = 1e-4, 0.05


@dataclass(frozen=True)
class Imported:
    """A network and what the host does around it.

    network, ranges: integers, and the range of each float tensor; floats: the same in float, pruned; ends: for each
    tensor of the ONNX graph where the core ends, the float network's; method: how ranges were chosen, None where the
    file has them all; cuts: what pruning took, by node; distances: of each node's values from the float network's, and
    of each output's from the file's, on the calibration inputs; examples: some of these as the core's images.
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
    examples: dict[str, Bytes]

    @property
    def host(self) -> list[str]:
        """What the host does, a line each."""
        lines = [f"{op.name}: {op.operator}, before the first layer" for op in self.parts.head]
        for given in self.floats.inputs:
            found = self.ranges[given.tensor]
            kind = "uint8" if found.unsigned else "int8"
            lines.append(f"input {given.name} in steps of {found.scale:.6g} as {kind}")
        return lines + [f"{op.name}: {op.operator}, behind the last layer" for op in self.parts.tail]

    def prepare(self, inputs: Inputs, what: str = "inputs") -> dict[str, Bytes]:
        """The core's images of the file's inputs. Raises ValueError as `by_name`."""
        given = _start(self.graph, self.parts, by_name(self.graph, inputs, what))
        return to_images(self.floats, self.ranges, _planes(self.floats, given))

    def finish(self, tensors: dict[str, Bytes]) -> Tensors:
        """The file's outputs, batch first, from the core's and its images."""
        names = dict(zip(self.floats.outputs, self.network.outputs, strict=True)) | given_names(self.floats)
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

    def original(self, inputs: Inputs) -> Tensors:
        """The file's outputs by ONNX Runtime. Raises ValueError as `by_name`."""
        session = Session(unsaturated(self.graph.original), self.graph.outputs)
        return _by_chunks(self.graph, session, by_name(self.graph, inputs, "inputs"))

    def run(self, inputs: Inputs) -> Tensors:
        """The file's outputs by the integer network."""
        return self.finish(self.network.run(self.prepare(inputs)))


def by_name(graph: Graph, inputs: Inputs, what: str) -> Tensors:
    """An array of the file's type for each of the file's inputs on which outputs depend; those of its other inputs may
    be there.

    Raises ValueError, which begins with `what` and names the input, for one that is missing, that the file does not
    have, or of a wrong shape, type, number or value.
    """
    names = ", ".join(f"{name} {_shape_of(graph, name)}" for name in graph.inputs)
    if not isinstance(inputs, Mapping):
        if len(graph.inputs) != 1:
            raise ValueError(f"{what}: one array for {len(graph.inputs)} inputs, expected an NPZ file of {names}")
        inputs = {graph.inputs[0]: inputs}
    for name in inputs:
        if name not in (*graph.inputs, *graph.unused):
            raise ValueError(f"{what}: {name}: no input of the network has that name, expected {names}")
    found: Tensors = {}
    for name in graph.inputs:
        if name not in inputs:
            given = ", ".join(inputs) or "none"
            raise ValueError(f"{what}: input {name}: no array among {given}, expected {_shape_of(graph, name)}")
        found[name] = _checked(graph, name, inputs[name], what)
    first, *others = found
    for name in others:
        if len(found[name]) != len(found[first]):
            raise ValueError(
                f"{what}: input {name}: {len(found[name])} of them, expected as many as of {first}, {len(found[first])}"
            )
    return found


def _shape_of(graph: Graph, name: str) -> str:
    return f"{graph.dtypes[name]} (N, {', '.join(map(str, graph.shapes[name][1:]))})"


def _checked(graph: Graph, name: str, array: Array, what: str) -> Array:
    """An input's array in the file's type."""
    shape, dtype = graph.shapes[name][1:], graph.dtypes[name]
    if array.shape[1:] != shape or array.ndim != len(shape) + 1 or not len(array):
        raise ValueError(f"{what}: input {name}: shape {array.shape}, expected (N, {', '.join(map(str, shape))})")
    if array.dtype != dtype and (dtype.kind != "f" or array.dtype.kind not in "fiu"):
        raise ValueError(f"{what}: input {name}: dtype {array.dtype}, expected {dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        at = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(f"{what}: input {name}: {array[tuple(at)]} at {at}, expected finite values")
    return array.astype(dtype)


def _chunks(graph: Graph, inputs: Array) -> list[Array]:
    """Inputs in batches that the file takes, the last filled up."""
    size = graph.batch or 1
    whole = np.concatenate([inputs, np.repeat(inputs[-1:], -len(inputs) % size, 0)])
    return [whole[first : first + size] for first in range(0, len(whole), size)]


def _by_chunks(graph: Graph, session: Session, feeds: Tensors) -> Tensors:
    """What a part of the file makes, batch by batch."""
    count = len(next(iter(feeds.values())))
    chunks = {name: _chunks(graph, array) for name, array in feeds.items()}
    unused = {name: np.zeros(graph.shapes[name], graph.dtypes[name]) for name in graph.unused}
    found = [
        session.run(unused | {name: parts[n] for name, parts in chunks.items()})
        for n in range(len(next(iter(chunks.values()))))
    ]
    return {name: np.concatenate([part[name] for part in found])[:count] for name in session.names}


def _start(graph: Graph, split: Parts, inputs: Tensors) -> Tensors:
    """The tensors that the core is given, as values or as the file's integers."""
    made = tuple(start for name, start in split.starts.items() if start != name)
    found = _by_chunks(graph, Session(graph.part(split.head, made)), inputs) if made else {}
    return {start: found[start] if start in found else inputs[name] for name, start in split.starts.items()}


def _planes(floats: FloatNetwork, starts: Tensors) -> Tensors:
    """Of what is given, values (N, C, H, W), float32; integers of the file by its scale."""
    found: Tensors = {}
    for given in floats.inputs:
        start = starts[given.tensor]
        if start.dtype.kind in "iu" and given.quant is not None:
            start = (start.astype(np.float64) - given.quant.zero) * given.quant.scale
        found[given.tensor] = start.reshape(len(start), *given.shape).astype(np.float32)
    return found


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


def _noise(graph: Graph) -> Tensors:
    """Inputs where none are given: uniform from 0 to 1, or all bytes."""
    rng, found = np.random.default_rng(0), {}
    for name in graph.inputs:
        shape, dtype = (COMPARED, *graph.shapes[name][1:]), graph.dtypes[name]
        if dtype.kind in "iu":
            found[name] = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape, dtype)
        else:
            found[name] = rng.random(shape).astype(dtype)
    return found


def _some(tensors: Tensors) -> Tensors:
    """Those that passes are compared on."""
    return {name: array[:COMPARED] for name, array in tensors.items()}


def bring(
    source: str | Path | onnx.ModelProto,
    calibration: Inputs | None = None,
    mode: str = modes.AUTO,
    prune: bool = False,
    until: str = "",
    what: str = "calibration",
) -> Imported:
    """The integer network of an ONNX file or model.

    calibration: inputs as the file takes them, some hundreds, from which scales are chosen that the file does not give;
    without, noise; mode: k/m of convolutions, `modes.parse`; prune: remove weights that break it; until: a node or
    tensor at which to stop; what: the calibration inputs in messages.
    Raises ValueError, in one line, for what is not supported and for a pass that changes values by too much.
    """
    graph = read.read(source if isinstance(source, onnx.ModelProto) else read.load(source))
    if until:
        graph = host.until(graph, until)
    split = host.split(graph)
    planes = host.planes(graph, split)
    inputs = _noise(graph) if calibration is None else by_name(graph, calibration, what)
    wanted = _original(graph, _some(inputs))
    _check_read(graph, _some(inputs), wanted)
    floats, ends = fold(graph, split, planes)
    values = _planes(floats, _start(graph, split, inputs))
    nodes = {step.output: step.name for step in floats.steps}
    few = _some(values)
    _check_fold(graph, floats, few, wanted, nodes)
    floats, cuts = modes.apply(floats, table := modes.parse(mode, floats), prune)
    floats = ranges.one_scale(floats)
    why = ranges.needs_calibration(floats)
    if why is not None and calibration is None and (not graph.exact or floats.quantised):
        raise ValueError(f"{why}: a quantised file that needs calibration inputs (CALIB=)")
    samples = ranges.record(floats, values)
    nodes = {step.output: step.name for step in floats.steps}
    names = [step.output for step in floats.steps]
    floating = Session(floats.model(names)).run(_feeds(floats, few))
    found: list[tuple[float, str, dict[str, Range], Network, dict[str, float]]] = []
    for method in ranges.METHODS if why is not None else (ranges.METHODS[0],):
        chosen = ranges.choose(floats, samples, method)
        images = to_images(floats, chosen, few)
        network = lower(floats, chosen, images, table)
        tensors = _run(network, images)
        scaled = {step.output: tensors[node.name] * node.scale for step, node in made(floats, network)}
        apart = _compare("quantise", scaled, floating, QUANTISED, nodes)
        found.append((max(apart[name] for name in floats.outputs), method, chosen, network, apart))
    _, method, chosen, network, apart = min(found, key=lambda entry: entry[0])
    tensors = _run(network, images := to_images(floats, chosen, few))
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


def _feeds(floats: FloatNetwork, values: Tensors) -> Tensors:
    """Values of what is given, for `FloatNetwork.model`."""
    return {given.feed: values[given.tensor] for given in floats.inputs}


def _run(network: Network, images: Images) -> dict[str, Bytes]:
    """All tensors; an accumulator that overflows is named with its node."""
    tensors = dict(images)
    for node in network.nodes:
        try:
            tensors[node.name] = node.run(tensors)
        except ValueError as error:
            raise ValueError(f"{node.name}: {error}") from None
    return tensors


def _original(graph: Graph, inputs: Tensors) -> Tensors:
    """All tensors of the file as it is."""
    made = {name for node in graph.original.graph.node for name in node.output if name}
    made -= graph.values
    names = [name for operation in graph.operations for name in operation.outputs if name in made]
    if not names:  # within functions of the file
        names = list(graph.outputs)
    return _by_chunks(graph, Session(unsaturated(graph.original), dict.fromkeys(names)), inputs)


def _check_read(graph: Graph, inputs: Tensors, wanted: Tensors) -> None:
    """What was taken apart and calculated ahead, against the file."""
    nodes = {name: operation.name for operation in graph.operations for name in operation.outputs}
    part = Session(graph.part(graph.operations, tuple(wanted)))
    found = _by_chunks(graph, part, inputs)
    _compare("read", found, wanted, EXACT if graph.exact else ROUNDED, nodes)


def _check_fold(graph: Graph, floats: FloatNetwork, values: Tensors, wanted: Tensors, nodes: dict[str, str]) -> None:
    """Steps against the file's tensors, those of integers by their scales."""
    names = [step.output for step in floats.steps if step.output in wanted]
    found = Session(floats.model(names)).run(_feeds(floats, values))
    quants = {step.output: floats.quant_of(step.output) for step in floats.steps}
    scaled = {}
    for name in names:
        value, quant = wanted[name], quants[name]
        if value.dtype.kind in "iu" and quant is not None:
            value = (value.astype(np.float64) - quant.zero) * quant.scale
        scaled[name] = value
    rounds = floats.quantised or not graph.exact
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
