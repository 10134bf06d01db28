# SPDX-License-Identifier: Apache-2.0
"""The simulation behind `models/cycle_model.py`, compiled by numba: plain functions on the arrays of `state.State`."""
