# SPDX-License-Identifier: Apache-2.0
"""pyuvm tests that commands run: given layers, and the benchmark."""
