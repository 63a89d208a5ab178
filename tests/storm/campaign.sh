#!/bin/bash
# The long storm: 100,000 kills over caches of 64 to 1,000,000 entries.  After each round the cache
# must verify, and after a flush every block must be free.  A round that is done is not run again.
#     CAMPAIGN_SHORT=1    3,000 kills
#     CAMPAIGN_DIR        where the rounds' results are kept (default build/campaign/storm)
#     STORM_DIR           the files served (default /usr/include)
# Exit: 0 sound, 1 not, 130 interrupted.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
LK=${LK:-$here/../../build/lk}
state=${CAMPAIGN_DIR:-${CAMPAIGN_STATE:-build/campaign/storm}}
files=${STORM_DIR:-/usr/include}
mkdir -p "$state"

# kills, entries, other options.  As many kills a second as can be (--rate 0) where a shard is
# small; where rebuilding one takes milliseconds, few enough that somebody comes to the end of it.
long=(
    "25000 64 --rate 0 --shards 1"
    "15000 64 --rate 0 --shards 1 --checksum"
    "15000 1000 --rate 0 --shards 8"
    "10000 1000 --rate 400 --shards 4 --stops"
    "15000 10000 --rate 400"
    "10000 100000 --rate 150"
    "5000 100000 --rate 120 --checksum"
    "5000 1000000 --rate 100"
)
short=(
    "800 64 --rate 0 --shards 1"
    "500 64 --rate 0 --shards 1 --checksum"
    "500 1000 --rate 0 --shards 8 --stops"
    "500 10000 --rate 400"
    "400 100000 --rate 150"
    "300 1000000 --rate 100"
)
rounds=("${long[@]}") form=long
[ "${CAMPAIGN_SHORT:-0}" = 1 ] && rounds=("${short[@]}") form=short

LK_DIR=$(mktemp -d /dev/shm/lk-storm-campaign-XXXXXX)
export LK_DIR
trap 'rm -rf "$LK_DIR"' EXIT
trap 'exit 130' INT TERM

# Everything that a round's result rests on.
key="$form $(sha256sum "$LK" | cut -d' ' -f1)"

# used NAME: bytes in use after a flush.
used() {
    "$LK" cache flush "$1" >&2 && "$LK" cache stat --json "$1" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["used_bytes"])'
}

run_round() {
    local kills=$1 entries=$2 json=$3 code left
    shift 3
    "$LK" storm --json --kills "$kills" --entries "$entries" --name round --keep "$@" \
        "$files" >"$json.new"
    code=$?
    [ $code -eq 130 ] && exit 130
    [ $code -eq 0 ] || { cat "$json.new"; echo "lk storm: exit $code"; return 1; }
    python3 "$here/sound" "$json.new" "$kills" || return 1
    "$LK" verify round || { echo "lk verify: exit $?"; return 1; }
    left=$(used round)
    [ "$left" = 0 ] || { echo "$left bytes in use after a flush: blocks have leaked"; return 1; }
    "$LK" verify round >/dev/null || { echo "lk verify after the flush: exit $?"; return 1; }
    "$LK" cache unlink round >/dev/null || return 1
    mv "$json.new" "$json"
}

total=0 failed=0 number=0
for round in "${rounds[@]}"; do
    number=$((number + 1))
    read -ra words <<<"$round"
    done_file=$state/$form-$number.done json=$state/$form-$number.json
    if [ "$(cat "$done_file" 2>/dev/null)" = "$key $round" ]; then
        echo "round $number ($round): done before"
    else
        echo "round $number: ${words[0]} kills, ${words[1]} entries ${words[*]:2}"
        if ! run_round "${words[0]}" "${words[1]}" "$json" "${words[@]:2}"; then
            failed=$((failed + 1))
            "$LK" cache unlink round >/dev/null 2>&1
            continue
        fi
        echo "$key $round" >"$done_file"
    fi
    total=$((total + words[0]))
done
echo "$total kills in $((number - failed)) of $number rounds: $failed failed"
[ "$failed" -eq 0 ]
