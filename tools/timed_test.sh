#!/bin/sh
# Runs a test binary for `cargo test`, with the time of each test. The flag is unstable, but only for the runner of the
# tests: nothing is compiled otherwise.
binary=$1
shift
RUSTC_BOOTSTRAP=1 exec "$binary" "$@" -Z unstable-options --report-time
