#!/bin/bash
# Every mutant of tests/mutants/ must be killed by the test that claims it; short: the quick ones.
cd "$LK_SOURCE" || exit 1
compgen -G 'tests/mutants/*.patch' >/dev/null || { echo "skipped: no mutants"; exit 77; }
if [ "$CAMPAIGN_SHORT" = 1 ]; then
    exec python3 tools/dev/mutants --quick
fi
exec python3 tools/dev/mutants
