# SPDX-License-Identifier: Apache-2.0
"""The pyuvm environment of the core: agents, register model, reference model, scoreboard, sequences."""
