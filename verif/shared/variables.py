# SPDX-License-Identifier: Apache-2.0
"""What commands and simulations tell each other by the environment and by files: names of both."""

CONFIG_VARIABLE = "SPARSECORE_CONFIG"  # tells the simulation which configuration it runs
FUNCTIONAL_COVERAGE = "functional.yml"  # a run's functional coverage, in its directory

# Of the speed measurement: JSON list of ports; set to record; what it leaves.
PORTS, RECORD = "SPEED_PORTS", "SPEED_RECORD"
TRACE_FILE = "ports.trace"
MARKS_FILE = "marks.json"
