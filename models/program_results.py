# SPDX-License-Identifier: Apache-2.0
"""Tensors from the result stream of a program's run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models import lines
from models.lines import Lines
from models.program import Program, ResultTransfer
from models.reference import Bytes
from models.stream import Packet, decode_packet


def tensors_of(program: Program, packets: Sequence[Packet], stream_bytes: int) -> dict[str, Bytes]:
    """By name what the result transfers of all iterations have brought, uint8 or int8 (images, C, H, W).

    packets: one a line, in order. Raises ValueError for malformed packets or a wrong number of them.
    """
    network = program.network
    dtypes, images = network.dtypes, program.iterations * program.batch
    expected = program.iterations * sum(transfer.lines for transfer in program.results)
    if len(packets) != expected:
        raise ValueError(f"result stream: {len(packets)} lines, expected {expected}")
    found: dict[str, Bytes] = {}
    received = iter(packets)
    for iteration in range(program.iterations):
        for transfer in program.results:
            part = transfer.part
            shape = network.shapes[part.tensor]
            if part.tensor not in found:
                found[part.tensor] = np.zeros((images, *shape), dtypes[part.tensor])
            image = found[part.tensor][iteration * program.batch + part.image]
            own = [decode_packet(next(received), stream_bytes) for _ in range(transfer.lines)]
            image[part.first : part.last, part.top : part.bottom] = _piece(own, transfer, image)
    return found


def _piece(decoded: list[tuple[int, bytes]], transfer: ResultTransfer, image: Bytes) -> Bytes:
    """What a transfer brings of a tensor (C, H, W)."""
    part = transfer.part
    shape = part.last - part.first, part.bottom - part.top, image.shape[2]
    bitmaps = np.array([bitmap for bitmap, _ in decoded], np.uint64).reshape(shape[0], -1)
    data = np.frombuffer(b"".join(packed for _, packed in decoded), np.uint8)
    return lines.decompress(Lines(bitmaps, data), part.block, shape, image.dtype.type)
