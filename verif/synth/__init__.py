"""The core as silicon: area, memories and paths of every unit, before layout (docs/silicon.md)."""
