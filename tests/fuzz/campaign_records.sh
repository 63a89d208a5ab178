#!/bin/bash
# 100,000 mutated records of a database under ASan and UBSan: through the parser of nodes, and under
# everything that can be done to a database (tests/unit/tree_test.c, db_hostile_test.c).
#     CAMPAIGN_SHORT=1    10,000
# Exit: 0 sound, 1 not.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${LK_BUILD_ROOT:-$here/../../build}/asan
export LK_RECORDS=100000 T_TIMEOUT_SCALE=5
[ "${CAMPAIGN_SHORT:-0}" = 1 ] && LK_RECORDS=10000
"$build/tests/unit_tree_test" a_record_that_lies_is_an_error_or_harmless || exit 1
"$build/tests/unit_db_hostile_test"
