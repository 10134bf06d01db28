"""The memory wrappers of rtl/mem: the kinds of memory that exist."""

from __future__ import annotations

WRAPPERS: dict[str, object] = {
    "spcore_mem_1rw": None,
    "spcore_mem_1r1w": None,
    "spcore_regfile": None,
}
