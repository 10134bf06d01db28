# SPDX-License-Identifier: Apache-2.0
"""Functional coverage: cover points and what is sampled into them. docs/coverage_plan.md says why each exists."""
