# The front door: `make help`. Every target sets up what it needs.

PYTHON  ?= python3
CONFIG  ?= paper
SIM     ?= verilator
SEEDS   ?= 20
SEED    ?= 1
MODE    ?= auto
BATCH   ?= 1
IMAGES  ?= 100
# By the environment: test ids and paths may hold characters that the shell takes for its own.
export SEED TEST NPZ OUT ONNX INPUT CALIB UNTIL NET
# What would change Python's or pytest's behaviour unseen.
unexport PYTHONSAFEPATH PYTHONPATH PYTHONHOME PYTEST_ADDOPTS PYTEST_PLUGINS PYTEST_DISABLE_PLUGIN_AUTOLOAD

VENV  := .venv
PY    := $(VENV)/bin/python
STAMP := $(VENV)/.setup
TORCH := $(VENV)/.torch
CLI   := $(PY) -m verif.host.cli

.DEFAULT_GOAL := help
.PHONY: help setup test run layer network compile program nodetests foreign figures sweep cyclemodel tradeoffs figure1 torch regress coverage waves bench formal lint synth power paper verilog docs clean

help: ## show this text
	@echo "make TARGET [VARIABLE=value ...]"
	@sed -n 's/^\([a-z0-9]*\):[^#]*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 12
	@echo "configurations (CONFIG): $$(sed -n 's/^\[\([a-z0-9_]*\)\].*/\1/p' rtl/configs.toml | tr '\n' ' ')"

setup: $(STAMP) ## install everything into .venv (and Icarus and OpenSTA by apt-get, where permitted)

$(STAMP): requirements.txt
	@PYTHON="$(PYTHON)" .ci/setup

test: $(STAMP) ## all tests fast and a sample of the slow ones, FULL=1 all, GATES=1 those on netlists; or some: TEST=<path, node id or keyword> SEED=n
	@$(CLI) test $(if $(FULL),--full) $(if $(GATES),--gates) $(if $(TEST),--test "$$TEST")

run: $(STAMP) ## the paper's Figure 3 layer on CONFIG= with SIM=, scaled down where it would not fit
	@$(CLI) run --config "$(CONFIG)" --sim "$(SIM)"

layer: $(STAMP) ## your layer: NPZ=layer.npz OUT=result.npz CONFIG= SIM=
	@$(CLI) layer "$$NPZ" "$$OUT" --config "$(CONFIG)" --sim "$(SIM)"

network: $(STAMP) ## the trained network of the tree on IMAGES=100 test images in one run; or yours: ONNX=model.onnx INPUT=x.npy (several inputs: x.npz, by name) CALIB= OUT=y.npz MODE= PRUNE= BATCH= UNTIL= CONFIG= SIM= CHECK=; or node by node: NPZ=
	@$(CLI) network --npz "$$NPZ" --onnx "$$ONNX" --inputs "$$INPUT" --calib "$$CALIB" --out "$$OUT" --mode "$(MODE)" $(if $(PRUNE),--prune) --batch "$(BATCH)" --until "$$UNTIL" --images "$(IMAGES)" --config "$(CONFIG)" --sim "$(SIM)" $(if $(CHECK),--check "$(CHECK)")

compile: $(STAMP) ## explain an ONNX network in seconds: ONNX=model.onnx CALIB=inputs.npy MODE=auto PRUNE=1 UNTIL=node CONFIG= BATCH=
	@$(CLI) compile "$$ONNX" --calib "$$CALIB" --mode "$(MODE)" $(if $(PRUNE),--prune) --until "$$UNTIL" --config "$(CONFIG)" --batch "$(BATCH)"

program: $(STAMP) ## a whole network in one run, every tensor checked: NET=resnet18 BATCH=1 CONFIG= SIM= CHECK=all reads tensors out as well
	@$(CLI) program "$$NET" --batch "$(BATCH)" --config "$(CONFIG)" --sim "$(SIM)" $(if $(CHECK),--check "$(CHECK)")

nodetests: $(STAMP) ## the node tests of the package onnx through the importer and the core (small), as a table
	@$(CLI) nodetests --sim "$(SIM)"

foreign: $(STAMP) ## networks that PyTorch has exported, in float and quantised by ONNX Runtime, on the core (small), as a table
	@SPARSECORE_FULL=1 $(PY) -m pytest -q -s tests/core/test_foreign_run.py

figures: $(STAMP) ## every layer that the project is measured on, as a table; UPDATE=1: docs/study/rtl.json
	@$(CLI) figures $(if $(UPDATE),--update)

sweep: $(STAMP) ## the Figure 3 layer by mode of the weights and density of the activations; UPDATE=1: docs/study/sweep.json
	@$(CLI) sweep $(if $(UPDATE),--update)

cyclemodel: $(STAMP) ## the cycle model against the core, on drawn layers of six configurations; UPDATE=1: docs/study/cycle_model.json
	@$(CLI) cyclemodel $(if $(UPDATE),--update)

tradeoffs: $(STAMP) ## kGE against cycles of the benchmark layers, one size of the core changed at a time, by synthesis and the cycle model
	@$(CLI) tradeoffs

torch: $(TORCH) ## install PyTorch and Fashion-MNIST: figure1 does it, the tests of training are skipped without

$(TORCH): requirements-train.txt $(STAMP)
	@.ci/packages dataset-fashion-mnist
	@echo "installing the packages of requirements-train.txt"
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps -r requirements-train.txt
	@touch $@

figure1: $(TORCH) ## train, prune, measure: accuracy against sparsity in some minutes; FULL=1: the figure of the docs
	@$(CLI) figure1 $(if $(FULL),--full)

regress: $(STAMP) ## random layers over SEEDS=n seeds from SEED=, in parallel; TEST= chooses the test
	@$(CLI) regress --seeds "$(SEEDS)" $(if $(TEST),--test "$$TEST")

coverage: $(STAMP) ## functional and code coverage of all tests (or TEST=), merged
	@command -v genhtml >/dev/null || .ci/packages lcov
	@$(CLI) coverage $(if $(TEST),--test "$$TEST")

waves: $(STAMP) ## run one test with wave dumps: TEST= SEED=
	@$(CLI) waves "$$TEST"

bench: $(STAMP) ## cycles/s of the paper configuration through pyuvm and from bare C++; fails below the ratio asked; UPDATE=1: record first which code runs often
	@$(CLI) bench --config "$(CONFIG)" $(if $(UPDATE),--update)

formal: $(STAMP) ## proofs of small modules for all inputs
	@$(PY) -m pytest -q -n 2 tests/formal

lint: $(STAMP) ## Verilator -Wall, slang and Verible on every configuration, ruff and mypy (or one module: TOP=)
	@$(CLI) lint $(if $(TOP),--top "$(TOP)")

synth: $(STAMP) ## area, memories and paths of every unit as silicon, or of one: UNIT= CONFIG= LIBERTY=file UPDATE=1
	@$(CLI) synth --config "$(CONFIG)" $(if $(UNIT),--unit "$(UNIT)") $(if $(LIBERTY),--liberty "$(LIBERTY)") $(if $(UPDATE),--update)

power: $(STAMP) ## what a PE of gates takes (small, Icarus, OpenSTA) beside the energy model, sparse and dense; UPDATE=1: docs/study/power.json
	@$(CLI) power $(if $(UPDATE),--update)

paper: $(STAMP) ## the study: the paper's tables and figures beside this project's, as build/paper/report.html; UPDATE=1: docs/study.md
	@$(CLI) paper $(if $(UPDATE),--update)

verilog: $(STAMP) ## build/verilog/sparsecore_CONFIG.v: the core as one Verilog-2005 file
	@$(CLI) verilog --config "$(CONFIG)"

docs: $(STAMP) ## what follows from other files: register map, register block and lists of RTL files for other projects
	@$(CLI) docs

clean: ## remove build products (not .venv), and say what they took
	@.ci/clean
