# SPDX-License-Identifier: Apache-2.0
"""From an ONNX file to the integer network that the core runs: `models.importer.passes.bring`."""
