# SPDX-License-Identifier: Apache-2.0
"""The study: what is computed, its tables and pictures, and docs/study.md with the report in HTML."""
