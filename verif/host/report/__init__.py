# SPDX-License-Identifier: Apache-2.0
"""What a run of a network shows, or a compiled network without a run: a table, pictures, one HTML file."""
