"""Models of SparseCore in numpy: formats, reference convolution, tiling, cycles and energy."""
