#!/bin/bash
# The larger models: every line "Campaign: OPTIONS" of a model's comment, explored to the end, each
# with the number of its executions.  A run that has ended on the present sources is not run again.
# usage: campaign.sh [NAME...]    only these models (rmutex lock_rwlock ...)
#     CAMPAIGN_SHORT=1    a minute for each; what has no end by then is only said to have no error
#     CAMPAIGN_DIR        where the results are kept (default build/campaign/model)
#     MODEL_LIMIT         seconds for each (default 14400)
# Exit: 0 all ended without an error, 1 not, 130 interrupted.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
LK=${LK:-$here/../../build/dev/lk}
state=${CAMPAIGN_DIR:-$here/../../build/campaign/model}
mkdir -p "$state/objects"
export MODEL_OBJECTS=$state/objects
trap 'exit 130' INT TERM
form=long
export MODEL_LIMIT=${MODEL_LIMIT:-14400}
[ "${CAMPAIGN_SHORT:-0}" = 1 ] && form=short MODEL_LIMIT=60

# Everything that a result rests on.
key="$form $(cd "$here/../.." && find src include tests/model -type f -print0 | sort -z |
    xargs -0 sha256sum | sha256sum | cut -d' ' -f1)"

ended=0 failed=0 bounded=0
for model in "$here"/*_model.c; do
    name=$(basename "$model" _model.c)
    [ $# -eq 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
    number=0
    while read -r run <&3; do
        number=$((number + 1))
        done_file=$state/$form-$name-$number.done
        if [ "$(head -n 1 "$done_file" 2>/dev/null)" = "$key $run" ]; then
            echo "$(tail -n 1 "$done_file") (before)"
            ended=$((ended + 1))
            continue
        fi
        said=$(sh "$here/model_test.sh" --run "$run" "$LK" "$model")
        code=$?
        line=$(printf '%s\n' "$said" | head -n 1)
        echo "$line"
        case $code,$line in
        130,*) exit 130 ;;
        0,*) ended=$((ended + 1)); printf '%s\n%s\n' "$key $run" "$line" >"$done_file" ;;
        *,BOUND*) bounded=$((bounded + 1)) ;;
        *) failed=$((failed + 1)); printf '%s\n' "$said" | tail -n +2 ;;
        esac
    done 3< <(sed -n 's/^ \* Campaign: *//p' "$model")
done
echo "$ended ended, $bounded not ended, $failed failed"
[ "$failed" -eq 0 ] && { [ "$bounded" -eq 0 ] || [ "$form" = short ]; }
