# CARGO_TARGET_DIR may name a folder outside the checkout, so that several checkouts share one build.
.PHONY: help lint test

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

lint: ## format and clippy, warnings denied
	cargo fmt --all --check
	cargo clippy --locked --profile demo --workspace --all-targets -- -D warnings

test: lint ## everything that is checked
	cargo test --locked --profile demo --workspace
