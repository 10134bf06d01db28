# SPDX-License-Identifier: Apache-2.0
"""Files quantised by ONNX Runtime."""

import logging

from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

_STATIC = {
    "qdq": {"activation_type": QuantType.QUInt8, "per_channel": True},
    "qdq-int8": {"activation_type": QuantType.QInt8, "extra_options": {"ActivationSymmetric": True}},
    "qlinear": {"quant_format": QuantFormat.QOperator, "activation_type": QuantType.QUInt8},
}
FORMS = [*_STATIC, "dynamic"]


class _Reader(CalibrationDataReader):
    def __init__(self, feeds):
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def quantise(source, target, form, feeds):
    """Write a float file in one of FORMS; feeds: inputs by name, one after another."""
    logging.disable(logging.WARNING)
    try:
        if form == "dynamic":
            quantize_dynamic(source, target)
        else:
            quantize_static(source, target, _Reader(feeds), **{"weight_type": QuantType.QInt8} | _STATIC[form])
    finally:
        logging.disable(logging.NOTSET)
