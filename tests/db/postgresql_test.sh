#!/bin/bash
# The stores' suite, the histories of many processes, and the oracle's trace (1,500 lines of a new
# seed), on PostgreSQL.  The long forms: scripts/campaign db/oracle db/histories.
#
# usage: postgresql_test.sh UNIT_STORE_TEST UNIT_DB_PROCESSES_TEST
set -uo pipefail
if [ -z "${LK_TEST_POSTGRESQL:-}" ]; then
    exec "$LK_SOURCE/tests/db/with_postgresql" "$0" "$@"
fi
failed=0
"$1" >/tmp/lk-pg-suite.$$ 2>&1 || { failed=1; cat /tmp/lk-pg-suite.$$; }
grep -q 'postgresql.*not in this build' /tmp/lk-pg-suite.$$ && failed=77
rm -f /tmp/lk-pg-suite.$$
[ $failed = 77 ] && { echo "skipped: built without libpq"; exit 77; }
for test in killed_processes_lose_no_money_and_no_commit \
    death_at_every_store_call_leaves_old_or_new processes_see_independent_changes_in_one_order; do
    "$2" $test || failed=1
done
oracle=${LK_ORACLE:-/work/shared/data/btree}
trace=$(mktemp) || exit 1
trap 'rm -f "$trace"' EXIT
if /usr/bin/python3 "$oracle/oracle.py" --ops 600 --merges 0 --seed 21 >"$trace" 2>/dev/null; then
    for options in "" "--cold --cache-nodes 1"; do
        # Each replay wants an empty store.
        psql -q "$LK_TEST_POSTGRESQL" -c 'DROP TABLE IF EXISTS lk_record, lk_head' || failed=1
        # shellcheck disable=SC2086
        "$LK" db replay --quiet "$trace" --store "$LK_TEST_POSTGRESQL" --commit 40 $options ||
            failed=1
        "$LK" db check "$LK_TEST_POSTGRESQL" || failed=1
        "$LK" db pack "$LK_TEST_POSTGRESQL" || failed=1
        "$LK" db check "$LK_TEST_POSTGRESQL" || failed=1
    done
fi
exit $failed
