# SPDX-License-Identifier: Apache-2.0
"""The compiler's middle and back end: from a quantised network to a program of the core."""

from models.compiler.compile import Compiler, compile_network

__all__ = ["Compiler", "compile_network"]
