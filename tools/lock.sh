#!/bin/sh
# Rebuild both lock files: `make lock`, or `make lock UPGRADE=1` to take newer versions.
#
# requirements.lock      what runs the bank, and what builds its package
# requirements-dev.lock  the same versions, and what checks and tests it
# sbom.cdx.json          both as a bill of materials with licences (tools/sbom.py)
#
# One lock serves every Python >= 3.11 and every platform (environment markers; the hashes of all published files).
# No addresses and no paths: whoever installs chooses the index.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet uv

"$work/venv/bin/python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
    > "$work/build.in"
echo pip >> "$work/build.in" # the pip that Python brings along may be years old and needs twice the time

compile() { # output, then further arguments
    out=$1
    shift
    "$work/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links ${UPGRADE:+--upgrade} \
        --output-file "$out" "$@" pyproject.toml "$work/build.in" > /dev/null
}
compile requirements.lock
compile requirements-dev.lock --extra dev --constraint requirements.lock

# pip says nothing about where a file came from as long as neither file does.
if grep -nE '://|^--|file:|/' requirements.lock requirements-dev.lock; then
    echo "A lock file names a place. It must name packages and hashes only." >&2
    exit 1
fi

"$python" tools/sbom.py # what the lock files name, as a bill of materials; refuses licences that may not be used
