#!/bin/bash
# The long form of the Python tests: 5,000 kills of Python workers, a wheel from nothing.
#     CAMPAIGN_SHORT=1    500 kills
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=${LK_BUILD_ROOT:-$here/../../build}
python=/usr/bin/python3
[ -d "$root/dev/python/latchkey" ] || { echo "no Python package in $root/dev"; exit 77; }
export PYTHONPATH=$root/dev/python PYTHONDONTWRITEBYTECODE=1 LK_SOURCE=${LK_SOURCE:-$here/../..}
kills=5000
[ "${CAMPAIGN_SHORT:-0}" = 1 ] && kills=500
cd "$here"
LK_PYTHON_KILLS=$kills LK_PYTHON_KILLS_MIN=$kills LK_PYTHON_SECONDS=1800 \
    "$python" -m unittest test_examples.Examples.test_torture
"$python" -m unittest test_package.Wheel
if [ -d "$root/dev/python-debug" ]; then # a million calls under a count of all references
    PYTHONPATH=$root/dev/python-debug "$python-dbg" test_references.py
fi
