# SPDX-License-Identifier: Apache-2.0
"""What the study computes beyond the comparison of systems: energy by item, scaling, limits, areas, from the data of
docs/study and the models."""
