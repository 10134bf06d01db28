# SPDX-License-Identifier: Apache-2.0
"""What both processes use: where things are, stimulus, files that they hand over, packed structs."""
