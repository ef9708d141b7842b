# Every target sets up what it needs: a virtual environment in .venv, made once and again when pyproject.toml changes.
# Another interpreter: make test PYTHON=python3.12. Some of the tests: make test ARGS="tests/syntax -k fmt".

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
READY := .venv/ready
ARGS ?=

# Two processes of one thread each: tests are many and small, and more threads only wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
PARALLEL := -n 2 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo demo-search test test-all test-gpu test-browser lint bench docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# One thread: where others use the cores too, more only wait for each other, and so small a net gains little from two.
demo: $(READY) ## Compile RobNet-free, report on it, draw it, train a small RobNet on digits, attack it
	@printf '\n1. An architecture is a text file. RobNet-free has 20 cells of its own:\n\n'
	$(BIN)/robdsl info archs/robnet_free.rob
	$(BIN)/robdsl viz archs/robnet_free.rob -o build/robnet_free.html
	$(BIN)/robdsl viz archs/robnet_free.rob --all-cells -o build/robnet_free_cells.png
	@printf '\n2. It compiles to a torch.fx module, or to Python that needs only torch:\n\n'
	$(BIN)/robdsl compile archs/robnet_free.rob -o build/robnet_free.py
	@$(BIN)/python -c "import torch, robdsl; \
		model = robdsl.compile(robdsl.load('archs/robnet_free.rob')).eval(); \
		print('two images in, logits out:', tuple(model(torch.rand(2, 3, 32, 32)).shape))"
	@printf '\n3. A far smaller RobNet, trained against attacks on handwritten digits (half a minute to a minute):\n\n'
	OMP_NUM_THREADS=1 $(BIN)/robdsl train robnet_small --set width=4 --set layers=3 --data digits --epochs 3 --batch 32 --lr 0.2 \
		--steps 2 --step-size 4/255 --device cpu --channels-last -o build/demo
	@printf '\n4. What it still gets right when its test images are attacked (some seconds):\n\n'
	OMP_NUM_THREADS=1 $(BIN)/robdsl attack build/demo/net.rob --weights build/demo/best.safetensors --data digits \
		--attack fgsm,pgd20 --limit 180 --device cpu -o build/demo/attack
	@printf '\nLook at build/robnet_free.html and build/robnet_free_cells.png; `$(BIN)/robdsl --help` lists the rest.\n'

# Cell-free and cell-based share a supernet. Of each space 300 nets are measured with its weights, FSP rejects the worst
# quarter of the cell-free ones, the best are finetuned; two dozen of the best and of the median are trained from scratch, for
# so few epochs that architectures still differ (docs/search.md).
DEMO_SEARCH := build/demo-search
SEARCH_OPTIONS := --data digits --val-fraction 0.3 --eps 16/255 --step-size 4/255 --steps 2 --attack pgd10 --eval-batch 434 \
	--norm-images 290 --epochs 1 --lr 0.03 --choose best --finetune 24 --trials 300 --channels-last --workers 2 --device cpu --emit 3
RETRAIN_OPTIONS := --best 24 --median 24 --epochs 3 --lr 0.05 --steps 2 --workers 2 --device cpu
demo-search: $(READY) ## Search digits: a supernet, 600 sub-networks, the best finetuned; the best and the median from scratch
	$(BIN)/robdsl search --space docs/examples/digits_free.rob $(SEARCH_OPTIONS) --supernet-epochs 30 \
		--filter quantile:0.25 -o $(DEMO_SEARCH)/cell-free
	$(BIN)/robdsl search --space docs/examples/digits_based.rob $(SEARCH_OPTIONS) --supernet-from $(DEMO_SEARCH)/cell-free \
		-o $(DEMO_SEARCH)/cell-based
	$(BIN)/robdsl search retrain $(DEMO_SEARCH)/cell-based $(RETRAIN_OPTIONS)
	$(BIN)/robdsl search retrain $(DEMO_SEARCH)/cell-free $(RETRAIN_OPTIONS)
	$(BIN)/robdsl search export $(DEMO_SEARCH)/cell-based -o $(DEMO_SEARCH)/bank.parquet
	$(BIN)/robdsl check $(DEMO_SEARCH)/cell-free/emitted/*.rob $(DEMO_SEARCH)/cell-based/emitted/*.rob

test: $(READY) ## Run the tests that are not marked slow (under 12 minutes on two cores)
	$(PYTEST) $(PARALLEL) -m "not slow" $(ARGS)

test-all: $(READY) ## Run every test that needs no GPU and no browser
	$(PYTEST) $(PARALLEL) $(ARGS)

test-gpu: $(READY) ## Run the tests marked gpu; fails where there is no CUDA device
	$(PYTEST) --gpu -m gpu $(ARGS)

test-browser: $(READY) ## Run the tests marked browser; fails where there is no Chromium
	$(PYTEST) --browser -m browser $(ARGS)

lint: $(READY) ## Check style, types, and that each stage imports only those before it
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## Run every program benchmarks/bench_*.py, one after the other
	@set -e; for program in $(basename $(notdir $(wildcard benchmarks/bench_*.py))); do \
		echo "== $$program"; $(BIN)/python -m benchmarks.$$program; done

docs: $(READY) ## Build the documentation into build/site, and run what its pages say
	$(BIN)/python -m mkdocs build --strict --quiet
	$(PYTEST) tests/house/test_readme.py tests/house/test_links.py tests/docs $(ARGS)

clean: ## Remove what was built and cached (not .venv)
	rm -rf build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

# Where Debian's python3-venv is missing, venv cannot bring pip along; then the pip outside installs one inside.
$(READY): pyproject.toml setup.py
	@test -n "$(PYTHON)" || { echo "robdsl needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "robdsl needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0])'
	@echo "Setting up .venv (once: this downloads PyTorch and takes some minutes)"
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv || \
		{ $(PYTHON) -m venv --clear --without-pip .venv && $(PYTHON) -m pip --python $(BIN)/python install pip; }
	$(BIN)/python -m pip install --editable '.[dev]'
	@touch $@
