#!/bin/bash
# A million damaged segments and more, in the sanitized build and (half as many again) in the plain
# one, whose copying is other code.  Parts that are done are not run again.
#     CAMPAIGN_SHORT=1    12,000 cases
#     CAMPAIGN_DIR        where parts' results are kept (default build/campaign/fuzz)
# Exit: 0 sound, 1 not, 130 interrupted.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
builds=${LK_BUILD_ROOT:-build}
state=${CAMPAIGN_DIR:-${CAMPAIGN_STATE:-build/campaign/fuzz}}
jobs=${JOBS:-$(nproc)}
mkdir -p "$state"

parts=40 cases=25000 form=long
[ "${CAMPAIGN_SHORT:-0}" = 1 ] && parts=2 cases=4000 form=short

declare -a pids=()
stop() {
    for pid in "${pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null
    done
    wait
    exit 130
}
trap stop INT TERM

# part PRESET NUMBER: one run of fuzz_segment, unless it is done.
part() {
    local program=$builds/$1/tests/fuzz/fuzz_segment name=$form-$1-$2 key
    key="$cases $(sha256sum "$program" | cut -d' ' -f1)"
    if [ "$(cat "$state/$name.done" 2>/dev/null)" = "$key" ]; then
        return 0
    fi
    "$program" --seed "$((1000 + $2))" --cases "$cases" --limit-ms 30000 --save "$state" \
        >"$state/$name.log" 2>&1 &
    local pid=$! code
    trap 'kill -TERM $pid; wait $pid; exit 130' INT TERM
    wait $pid
    code=$?
    echo "$1 $(tail -n 1 "$state/$name.log")"
    if [ $code -ne 0 ]; then
        grep -v ' of .* cases, ' "$state/$name.log"
        return 1
    fi
    echo "$key" >"$state/$name.done"
}

failed=0
run() {
    local preset=$1 count=$2 number
    [ -x "$builds/$preset/tests/fuzz/fuzz_segment" ] ||
        { echo "no $builds/$preset/tests/fuzz/fuzz_segment: build preset $preset" >&2; exit 1; }
    for ((number = 1; number <= count; number++)); do
        if [ ${#pids[@]} -ge "$jobs" ]; then
            wait "${pids[0]}" || failed=$((failed + 1))
            pids=("${pids[@]:1}")
        fi
        part "$preset" "$number" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=$((failed + 1))
    done
    pids=()
}
run asan "$parts"
run dev $((parts / 2))
total=$(cat "$state/$form"-*.log 2>/dev/null | sed -n 's/^seed [0-9]*: \([0-9]*\) cases.*/\1/p' |
    awk '{n += $1} END {print n + 0}')
echo "$total damaged segments: $failed parts failed"
[ "$failed" -eq 0 ]
