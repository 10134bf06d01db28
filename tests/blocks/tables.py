"""The tables of a layer's tile and kernel, from their definitions (docs/architecture.md section 7)."""

from collections.abc import Mapping


def line_offsets(line_w: int, win_w: int) -> int:
    """`line_off` of derived_t: where bits 0, 8, ... of a line of rows of `line_w` lie in a region of pitch `win_w`."""
    return sum((bit // line_w * win_w + bit % line_w) % 512 << 9 * octet for octet, bit in enumerate(range(0, 64, 8)))


def tile_masks(d: Mapping[str, int], win_w: int) -> list[int]:
    """By shape_t: bit q for each position of the tile at region offset q; `d` holds the fields of a layer_t."""
    last_h = d["out_h"] - (d["tiles_y"] - 1) * d["tile_h"]
    last_w = d["out_w"] - (d["tiles_x"] - 1) * d["tile_w"]
    pitch, step = win_w << d["stride_y2"], 1 << d["stride_x2"]
    return [
        sum(1 << ty * pitch + tx * step for ty in range(height) for tx in range(width))
        for height in (d["tile_h"], last_h)
        for width in (d["tile_w"], last_w)
    ]


def last_words(masks: list[int]) -> int:
    """`last_word` of derived_t for the masks of all shapes."""
    return sum((mask.bit_length() - 1) // 64 << 3 * shape for shape, mask in enumerate(masks))


def mask_writes(masks: list[int]) -> list[dict[str, int]]:
    """The fields of mask_tab_write_t that bring the masks of all shapes into the table."""
    return [
        {"valid": 1, "shape": shape, "word": word, "bits": mask >> 64 * word & 2**64 - 1}
        for shape, mask in enumerate(masks)
        for word in range((mask.bit_length() - 1) // 64 + 1)
    ]
