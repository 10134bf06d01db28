# SPDX-License-Identifier: Apache-2.0
"""Accelerators of other papers, and this core, as models of one interface: cycles and counted actions of a layer."""
