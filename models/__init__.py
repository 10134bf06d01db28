# SPDX-License-Identifier: Apache-2.0
"""Models of SparseCore in numpy: formats, reference convolution, tiling, cycles and energy."""
