#!/bin/bash
# The larger models: every line "Campaign: OPTIONS" of a model's comment, explored to the end, each
# with the number of its executions or states.  A run that has ended on the present sources is not
# run again.
# usage: campaign.sh [NAME...]    only these models (rmutex lock_rwlock ...)
#     CAMPAIGN_SHORT=1    a minute for each; what has no end by then is only said to have no error
#     CAMPAIGN_DIR        where the results are kept (default build/campaign/model)
#     MODEL_LIMIT         seconds for each (default 14400)
#     JOBS                how many at a time (default: one for each CPU)
# Exit: 0 all ended without an error, 1 not, 130 interrupted.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export LK=${LK:-$here/../../build/dev/lk}

# One run, in a process of its own: `--one NAME NUMBER RUN`, with $done_key and $form.  A word about
# it goes into the tally.
one() {
    local name=$1 run=$3 done_file=$state/$form-$1-$2.done said code line word
    if [ "$(head -n 1 "$done_file" 2>/dev/null)" = "$done_key $run" ]; then
        echo "$(tail -n 1 "$done_file") (before)"
        echo ended >>"$state/tally"
        return 0
    fi
    said=$(sh "$here/model_test.sh" --run "$run" "$LK" "$here/${name}_model.c")
    code=$?
    line=$(printf '%s\n' "$said" | head -n 1)
    case $code,$line in
    130,*) return 255 ;; # xargs begins no more
    0,*) word=ended && printf '%s\n%s\n' "$done_key $run" "$line" >"$done_file" ;;
    *,BOUND*) word=bounded ;;
    *) word=failed && line=$(printf '%s\n' "$said" | sed '$d') ;;
    esac
    echo "$line"
    echo $word >>"$state/tally"
}
if [ "${1:-}" = --one ]; then
    shift
    trap 'exit 255' INT TERM
    one "$@"
    exit
fi

export state=${CAMPAIGN_DIR:-$here/../../build/campaign/model} form=long
export MODEL_OBJECTS=$state/objects MODEL_LIMIT=${MODEL_LIMIT:-14400}
mkdir -p "$MODEL_OBJECTS"
trap 'exit 130' INT TERM
[ "${CAMPAIGN_SHORT:-0}" = 1 ] && form=short MODEL_LIMIT=60

# Everything that a result rests on.
done_key="$form $(cd "$here/../.." && find src include tests/model -type f -print0 | sort -z |
    xargs -0 sha256sum | sha256sum | cut -d' ' -f1)"
export done_key

: >"$state/tally"
for model in "$here"/*_model.c; do
    name=$(basename "$model" _model.c)
    [ $# -eq 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
    number=0
    while read -r run; do
        number=$((number + 1))
        printf '%s\0' "$name" $number "$run"
    done < <(sed -n 's/^ \* Campaign: *//p' "$model")
done | xargs -0 -r -n 3 -P "${JOBS:-$(nproc)}" bash "$here/campaign.sh" --one
code=$?
[ $code -eq 0 ] || [ $code -eq 1 ] || exit 130
count() { grep -c "^$1$" "$state/tally"; }
ended=$(count ended) bounded=$(count bounded) failed=$(count failed)
echo "$ended ended, $bounded not ended, $failed failed"
[ "$failed" -eq 0 ] && { [ "$bounded" -eq 0 ] || [ "$form" = short ]; }
