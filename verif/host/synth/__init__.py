# SPDX-License-Identifier: Apache-2.0
"""The core as silicon: area, memories and paths of every unit, before layout (docs/silicon.md)."""
