# SPDX-License-Identifier: Apache-2.0
"""What runs on the host: commands, builds, runs, reports. Nothing here imports cocotb."""
