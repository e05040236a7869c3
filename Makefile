# One build folder outside the checkout, so that several checkouts share one build.
cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
export CARGO_TARGET_DIR ?= $(cache)/footfall/target

demo_binary := $(CARGO_TARGET_DIR)/demo/footfall
release_binary := $(CARGO_TARGET_DIR)/release/footfall
load_binary := $(CARGO_TARGET_DIR)/release/footfall-load
venv := .test/venv
python := $(venv)/bin/python

# Arguments of `footfall demo`, such as DEMO_ARGS='--events 20000 --once'.
DEMO_ARGS ?=
# Arguments of pytest, such as PYTEST_ARGS='-k kill'.
PYTEST_ARGS ?=
# Rows of the benchmarks' lake.
ROWS ?= 10000000
# Rows of the lake that queries are measured on.
QUERY_ROWS ?= 50000000
# Arguments of a benchmark under load, such as BENCH_ARGS='--seconds 5 --only HTTP'.
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo build release lint unit e2e test bench-freshness bench-import bench-compact bench-funnels bench-start bench-planning bench-ingest bench-overload bench-grpc-flood bench-hostile-sql bench-query bench-query-scale bench-query-load bench-gateway release-load cargo-there python-there

help: ## what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## build, start everything, send traffic, show results, go on serving
	$(demo_binary) demo $(DEMO_ARGS)

build: cargo-there ## the binary that demo and tests run: quick to compile
	cargo build --locked --profile demo -p footfall

release: cargo-there ## the fast binary
	cargo build --locked --release -p footfall

lint: cargo-there python-there ## format and clippy, warnings denied
	python3 tools/mutants.py --check
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --profile demo --workspace --all-targets -- -D warnings

unit: cargo-there python-there ## unit and property tests
	python3 tools/unit_tests.py --times .test/unit-times.json -- cargo test --locked --profile demo --workspace

e2e: build $(venv)/requirements.txt ## end-to-end tests: real clients, real servers, a folder and S3
	FOOTFALL_BIN=$(demo_binary) $(python) -m pytest -c tests/pytest.ini -o cache_dir=$(CURDIR)/.test/pytest_cache \
	  --junit-xml=.test/e2e-times.xml tests/e2e $(PYTEST_ARGS)

test: ## everything that is checked, how long it took, and the slowest tests
	@started=$$(date +%s); \
	$(MAKE) --no-print-directory lint unit e2e && \
	python3 tools/slowest_tests.py --unit .test/unit-times.json --e2e .test/e2e-times.xml && \
	seconds=$$(($$(date +%s) - started)) && \
	echo "make test: everything holds; $$((seconds / 60)) min $$((seconds % 60)) s"

bench-freshness: release $(venv)/requirements.txt ## from reply to visible, while 10,000 events/s flow in
	$(python) tools/freshness.py --binary $(release_binary)

bench-import: release $(venv)/requirements.txt ## a file of ROWS events, imported twice
	$(python) tools/bench_import.py --binary $(release_binary) --rows $(ROWS)

bench-compact: cargo-there $(venv)/requirements.txt ## ROWS events of 200 sites compacted: speed, memory, bytes
	cargo build --locked --release -p footfall -p footfall-compactor --example merge_only # features as the binary's
	cargo build --locked --release -p footfall
	$(python) tools/bench_compact.py --binary $(release_binary) --rows $(ROWS) \
	  --merge-only $(CARGO_TARGET_DIR)/release/examples/merge_only

bench-funnels: release $(venv)/requirements.txt ## ten funnels over QUERY_ROWS events: to build, to keep up to date, to analyse
	$(python) tools/bench_funnels.py --binary $(release_binary) --rows $(QUERY_ROWS) $(BENCH_ARGS)

bench-start: release $(venv)/requirements.txt ## start and idle memory over a lake of ROWS events
	$(python) tools/bench_start.py --binary $(release_binary) --rows $(ROWS)

bench-planning: cargo-there ## planning over a table of 100,000 files: one site's month
	cargo build --locked --release -p footfall -p footfall-query --example bench_planning # features as the binary's
	$(CARGO_TARGET_DIR)/release/examples/bench_planning

bench-query: release $(venv)/tools-requirements.txt ## twelve questions over 50 million events (QUERY_ROWS), beside ClickHouse and DuckDB
	$(python) tools/bench_query.py --binary $(release_binary) --rows $(QUERY_ROWS) $(BENCH_ARGS)

bench-query-scale: release $(venv)/requirements.txt ## what 100 times as many other events cost a site's questions
	$(python) tools/bench_query_scale.py --binary $(release_binary) --rows $(QUERY_ROWS) $(BENCH_ARGS)

bench-query-load: release-load $(venv)/requirements.txt ## 64 clients with a dashboard's mix while 10,000 events/s flow in
	$(python) tools/bench_query_load.py --binary $(release_binary) --load $(load_binary) --rows $(QUERY_ROWS) $(BENCH_ARGS)

bench-gateway: release-load $(venv)/requirements.txt ## reports and realtime over HTTP, and 1,000 listeners of one stream
	$(python) tools/bench_gateway.py --binary $(release_binary) --load $(load_binary) --rows $(QUERY_ROWS) $(BENCH_ARGS)

bench-ingest: release-load $(venv)/tools-requirements.txt ## events/s and what they cost, beside ClickHouse and DuckDB
	$(python) tools/bench_ingest.py --binary $(release_binary) --load $(load_binary) $(BENCH_ARGS)

bench-overload: release-load $(venv)/tools-requirements.txt ## twice the rate it can take, among slow and silent clients
	$(python) tools/bench_overload.py --binary $(release_binary) --load $(load_binary) $(BENCH_ARGS)

bench-grpc-flood: release $(venv)/requirements.txt ## half-sent gRPC messages by the thousands: memory, and what others get
	$(python) tools/grpc_flood.py --binary $(release_binary) $(BENCH_ARGS)

bench-hostile-sql: release $(venv)/requirements.txt ## 1,000 of the heaviest statements, and those that compute for hours: what others get
	$(python) tools/bench_hostile_sql.py --binary $(release_binary) $(BENCH_ARGS)

# In one command, so that both share one build of what they depend on.
release-load: cargo-there
	cargo build --locked --release -p footfall -p footfall-load

$(venv)/tools-requirements.txt: tools/requirements.txt $(venv)/requirements.txt
	@if cmp -s $< $@; then touch $@; else \
	  set -ex; \
	  $(python) -m pip install --quiet --disable-pip-version-check --requirement $<; \
	  cp $< $@; \
	fi

# Made anew only when the pins change, whatever the files' times say.
$(venv)/requirements.txt: tests/requirements.txt | python-there
	@if cmp -s $< $@; then touch $@; else \
	  set -ex; rm -rf $(venv); \
	  python3 -m venv $(venv); \
	  $(python) -m pip install --quiet --disable-pip-version-check --requirement $<; \
	  cp $< $@; \
	fi

cargo-there:
	@command -v cargo >/dev/null || { echo 'error: cargo is missing: install Rust 1.95 or newer' >&2; exit 1; }

python-there:
	@python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'error: python3 is missing, older than 3.11, or without its venv module' >&2; exit 1; }

# How many random histories of the write path and of compactors, from which seed on.
SEEDS ?= 10000
SEED ?= 0

.PHONY: simulate
# Built with the binary, so that both use the same features of their dependencies.
simulate: cargo-there ## SEEDS random histories of writers and compactors: crashes, faults, two of each (SEED=n: from seed n on)
	SEED=$(SEED) SEEDS=$(SEEDS) cargo test --locked --profile demo -p footfall-ingest -p footfall --lib -- --nocapture simulation::tests::random

.PHONY: sketch-error
sketch-error: cargo-there ## the error of 1,000 HLL sketches of up to 10 million values is within the stated one
	cargo test --locked --release -p footfall-model --lib -- --ignored --nocapture sketch::tests::error_of_many

# How often the server is killed on a local lake; on S3 half as often.
ROUNDS ?= 100

.PHONY: crashes
crashes: release $(venv)/requirements.txt ## ROUNDS times kill -9 under load, on a folder and on S3
	FOOTFALL_CRASH_ROUNDS=$(ROUNDS) FOOTFALL_BIN=$(release_binary) $(python) -m pytest -c tests/pytest.ini \
	  -o cache_dir=$(CURDIR)/.test/pytest_cache -o faulthandler_timeout=3600 tests/e2e/test_crashes.py -s $(PYTEST_ARGS)

# Arguments of the soak, such as SOAK_ARGS='--seconds 180 --rate 10000'.
SOAK_ARGS ?=

.PHONY: soak
soak: release-load $(venv)/requirements.txt ## half an hour of 20,000 events/s with compactor and queries beside it: what grows?
	$(python) tools/soak.py --binary $(release_binary) --load $(load_binary) $(SOAK_ARGS)

# Arguments of the outage, such as OUTAGE_ARGS='--seconds 60 --outage refused'.
OUTAGE_ARGS ?=

.PHONY: outage
outage: release-load $(venv)/requirements.txt ## S3 unreachable for 5 minutes under load: replies, memory, catching up
	$(python) tools/outage.py --binary $(release_binary) --load $(load_binary) $(OUTAGE_ARGS)

.PHONY: mutants
mutants: cargo-there $(venv)/requirements.txt ## breaks the write path, compaction, pruning and isolation by one mistake at a time: their tests must notice each
	$(python) tools/mutants.py

# Which target is fuzzed (none said: each in turn), for how many seconds.
TARGET ?= collect_body log_reader enrich import_reader flight_handle flight_binding
SECONDS ?= 1800
fuzz_build := RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$(cache)/footfall/fuzz-target

.PHONY: fuzz
# Its own build folder: everything is compiled with instrumentation. A crash ends it and leaves fuzz/artifacts/.
fuzz: cargo-there ## hostile bytes for SECONDS into TARGET, or into each (see CONTRIBUTING.md)
	@cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked
	@set -e; for target in $(TARGET); do \
	  dictionary=fuzz/dictionaries/$$target.dict; \
	  mkdir -p fuzz/corpus/$$target; \
	  $(fuzz_build) cargo fuzz run --fuzz-dir fuzz $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(SECONDS) -max_len=4096 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=64 \
	    -print_final_stats=1 $$(test ! -f $$dictionary || echo -dict=$$dictionary); \
	done
