# SPDX-License-Identifier: Apache-2.0
"""What runs inside the simulator: the environment, coverage, programs. Nothing here imports pytest or typer."""
