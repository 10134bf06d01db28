# SPDX-License-Identifier: Apache-2.0
"""What of a graph the host does before the first layer and behind the last one, and what is left for the core."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.importer.onnx_graph import Graph, Operation, leading_to
from models.importer.operators import HOST, QUANTISERS, VIEWS, Use, check

_AFFINE = ("Add", "Sub", "Mul", "Div")
_POINTWISE = (*_AFFINE, "Relu", "Clip", "BatchNormalization", *QUANTISERS)

Planes = dict[str, tuple[int, int, int]]


@dataclass(frozen=True)
class Parts:
    """head: operations of the host that make the core's inputs; starts: these, by the file's input; tail: operations
    behind the core's outputs ``ends``; body: the rest."""

    head: tuple[Operation, ...]
    starts: dict[str, str]
    body: tuple[Operation, ...]
    ends: tuple[str, ...]
    tail: tuple[Operation, ...]


def until(graph: Graph, name: str) -> Graph:
    """The graph up to a node or tensor, whose result is the only output. Raises ValueError for an unknown name."""
    for operation in graph.operations:
        if name == operation.name or name in operation.outputs:
            last = name if name in operation.outputs else operation.output
            break
    else:
        names = ", ".join(operation.name for operation in graph.operations)
        raise ValueError(f"{name}: no such node, expected one of {names}")
    operations = leading_to(graph.operations, (last,))
    read = {name for operation in operations for name in operation.inputs}
    return replace(
        graph,
        operations=operations,
        inputs=tuple(name for name in graph.inputs if name in read),
        unused=(*graph.unused, *(name for name in graph.inputs if name not in read)),
        outputs=(last,),
    )


def split(graph: Graph) -> Parts:
    """Raises ValueError where nothing is left for the core."""
    heads = {name: _head(graph, name) for name in graph.inputs}
    tail, behind = [], set()
    for operation in graph.operations:
        if operation.operator in HOST or (
            operation.operator in (*VIEWS, *QUANTISERS) and operation.inputs[0] in behind
        ):
            tail.append(operation)
            behind |= set(operation.outputs)
    taken = {id(operation) for head in (*heads.values(), tail) for operation in head}
    body = tuple(operation for operation in graph.operations if id(operation) not in taken)
    while any(heads.values()) and not any(operation.operator not in VIEWS for operation in body):
        # A network of nothing but this: it is the core's.
        body = (*(head.pop() for head in heads.values() if head), *body)
    starts = {name: head[-1].output if head else name for name, head in heads.items()}
    if not any(operation.operator not in (*VIEWS, "Transpose") for operation in body):
        raise ValueError(f"output {graph.outputs[0]}: no layer for the core, the host does all of it")
    made = {name for operation in body for name in operation.outputs} | set(starts.values())
    ends = [name for name in graph.outputs if name in made]
    ends += [name for operation in tail for name in operation.inputs if name in made]
    head = tuple(operation for head in heads.values() for operation in head)
    return Parts(head, starts, body, tuple(dict.fromkeys(ends)), tuple(tail))


def _head(graph: Graph, start: str) -> list[Operation]:
    """What the host does with an input: a chain of operations that read nothing else."""
    head: list[Operation] = []
    while graph.alone(start):
        (operation,) = graph.readers[start]
        others = [name for name in operation.inputs if name and name not in graph.constants]
        affine = operation.operator in _AFFINE and graph.shapes[operation.output] == graph.shapes[start]
        if len(others) != 1 or not (affine or operation.operator in (*VIEWS, "Transpose")):
            break
        head.append(operation)
        start = operation.output
    return head


def planes(graph: Graph, parts: Parts) -> Planes:
    """(C, H, W) of every tensor of the body as the core has it, where a flattened plane is still a plane.

    Checks every operation of body and tail by its rules. Raises ValueError, which names the node.
    """
    batch = graph.batch or 1
    found: Planes = {start: _plane(graph.shapes[start]) for start in parts.starts.values()}
    for name, start in parts.starts.items():
        if graph.shapes[start][0] != batch:
            raise ValueError(f"input {name}: {start} of shape {graph.shapes[start]}, supported: the batch first")
    for operation in parts.tail:
        check(Use(operation, graph, found))
    for operation in parts.body:
        use = Use(operation, graph, found)
        check(use)
        out = graph.shapes[operation.output]
        if len(out) not in (2, 4) or out[0] != batch:
            raise ValueError(
                f"{operation.name}: {operation.operator}: output of shape {out}, "
                "supported: (batch, C, H, W) or (batch, F)"
            )
        first = operation.inputs[use.tensors[0]]
        if operation.operator in (*VIEWS, *_POINTWISE):
            plane = found[first]
        elif operation.operator == "Concat":
            plane = (sum(found[name][0] for name in operation.inputs), *found[first][1:])
        else:
            plane = _plane(out)
        found |= dict.fromkeys((name for name in operation.outputs if name), plane)
    return found


def _plane(shape: tuple[int, ...]) -> tuple[int, int, int]:
    c, h, w = (*shape[1:], 1, 1)[:3]
    return int(c), int(h), int(w)
