#!/bin/sh
# Gateways over ssh beside py.execnet and the ssh program: prints tables in Markdown. Arguments go to the benchmark.
# Leave the machine alone meanwhile; it takes about three minutes after the build.
set -eu
cd "$(dirname "$0")/../.."
venv=${CARGO_TARGET_DIR:-target}/bench-ssh-venv
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q "$(grep '^execnet==' benches/peers/requirements.txt)"
fi
EXECNET_BENCH_PYTHON=$(cd "$venv/bin" && pwd)/python
export EXECNET_BENCH_PYTHON
exec cargo bench -p execnet --bench ssh -- "$@"
