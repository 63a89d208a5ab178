#!/bin/sh
# key_states: what it must find, and what it must not.  The whole: tests/model/campaign_key.sh.
# usage: key_states_test.sh DIRECTORY-OF-THE-PROGRAMS
at=$1
bad=0

# finds WHAT OPTIONS...: an error of that name.
finds() {
    what=$1
    shift
    said=$("$at/key_states_1" "$@" 2>/dev/null)
    code=$?
    if [ $code -ne 1 ] || ! echo "$said" | grep -q "^FAIL $what"; then
        echo "FAIL key_states $*: no $what is found (result $code): $said"
        bad=1
    fi
}

passes() {
    turns=$1
    shift
    "$at/key_states_$turns" "$@" || { echo "FAIL key_states_$turns $*"; bad=1; }
}

finds deadlock --only o --threads 2 --locks 2
finds deadlock --only o --threads 3 --locks 3 --most 2
finds deadlock --only os --threads 2 --locks 2
finds livelock --only r --threads 3 --locks 3 --most 2 --strictly

passes 0 --threads 2
passes 1 --threads 2 --counting
passes 1 --threads 2 --only sibl --most 2
passes 0 --threads 2 --locks 2 --reads --only slcu --counting
passes 8 --threads 2 --locks 2 --only sl
passes 0 --threads 3 --most 2 --sample 150
passes 0 --threads 3 --sample 40
exit $bad
