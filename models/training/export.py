# SPDX-License-Identifier: Apache-2.0
"""Export of a float model to ONNX; the quantised one's is ``models.qdq``."""

from __future__ import annotations

import io
import warnings

import torch
from torch import nn

from models.training.pruning import finalised

OPSET = 17


def float_onnx(model: nn.Module, shape: tuple[int, int, int]) -> bytes:
    """The model with its masks applied as an ONNX file: ``image`` float (N, C, H, W), 0..1, in, ``logits`` out."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that replaces this one needs a further package.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            finalised(model).eval(),
            (torch.zeros(1, *shape),),
            file,
            dynamo=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "n"}, "logits": {0: "n"}},
            opset_version=OPSET,
        )
    return file.getvalue()
