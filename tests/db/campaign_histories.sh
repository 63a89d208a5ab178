#!/bin/bash
# Histories on every store: bank transfers, increments, long forks by threads and processes, with
# processes killed at random and at every call of the store (tests/unit/db_processes_test.c).
#     CAMPAIGN_SHORT=1    100 kills on each store; else 2,000
# Exit: 0 no violation, 1 not.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${LK_BUILD_ROOT:-$here/../../build}
export LK_HISTORY_KILLS=2000
[ "${CAMPAIGN_SHORT:-0}" = 1 ] && LK_HISTORY_KILLS=100
program=$build/dev/tests/unit_db_processes_test
"$here/with_postgresql" "$program"
code=$?
if [ $code = 77 ]; then
    echo "without PostgreSQL"
    "$program"
    code=$?
fi
exit $code
