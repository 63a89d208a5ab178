#!/bin/bash
# Sets, levels and claims over every workload of up to three threads and three locks, and a sample
# of four and four (key_states.c): states, deadlocks, livelocks, how often a claim gives way at
# most.  And the same number under the memory model, over every workload of claims
# (key_mixed_model.c): the model is run with the assertion that it happens fewer than 1, 2, ...
# times, until that holds.
#     CAMPAIGN_SHORT=1    samples
# Exit: 0 no error, and the most is what latchkey/claim.h promises; 1 not.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
LK=${LK:-$here/../../build/dev/lk}
states=${LK_BUILD_ROOT:-$here/../../build}/dev/tests/model/key_states
bad=0
all=() four=100
[ "${CAMPAIGN_SHORT:-0}" = 1 ] && all=(--sample 100) four=3

# explore TURNS OPTIONS...
explore() {
    local turns=$1
    shift
    "${states}_$turns" "$@" || bad=1
}
explore 8 --threads 2 "${all[@]}"
explore 1 --threads 2 --only sibl "${all[@]}"
explore 0 --threads 2 --only slcu --reads --counting "${all[@]}"
explore 0 --threads 3 "${all[@]}"
explore 0 --threads 3 --counting "${all[@]}"
explore 1 --threads 3 --most 2 "${all[@]}"
explore 0 --threads 4 --locks 4 --most 2 --sample $((10 * four))
explore 0 --threads 4 --locks 4 --sample $four

for size in "2 2" "2 3" "3 2"; do
    read -r threads locks <<<"$size"
    most=0
    run="-DTHREADS=$threads -DLOCKS=3 -DPER=$locks -DONLY=4 -DLK_MODEL_TURNS=0"
    while sh "$here/model_test.sh" --find --run "$run -DFEWER=$((most + 1))" "$LK" \
            "$here/key_mixed_model.c" >/dev/null; do
        most=$((most + 1))
        [ "$most" -gt 9 ] && break
    done
    echo "$threads threads that claim $locks of 3 locks: a claim gives way at most $most times," \
         "$((locks - 1)) promised"
    [ "$most" -eq $((locks - 1)) ] || bad=1
done
exit $bad
