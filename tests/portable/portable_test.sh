#!/bin/sh
# The locks' unit and stress tests in another form.
# usage: portable_test.sh FORM
#     futex     the parking lot on POSIX threads (LATCHKEY_FUTEX=portable)
#     aarch64   cross-compiled, under qemu-user
# exit: 0 passed, 1 failed, 77 the compiler or the emulator is missing
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
run='' without='' forms=portable cc=${CC:-cc}
case ${1:-} in
futex) ;;
aarch64)
    cc=aarch64-linux-gnu-gcc run=qemu-aarch64-static forms=linux
    # The emulator takes MADV_WIPEONFORK and does not do it.
    without=a_child_of_fork_begins_an_initialiser_anew_that_its_parent_was_in
    for program in $cc $run; do
        command -v "$program" >/dev/null || {
            echo "skipped: no $program (gcc-aarch64-linux-gnu, libc6-dev-arm64-cross," \
                 "qemu-user-static)"
            exit 77
        }
    done ;;
*) sed -n '3,5s/^# //p' "$0" >&2; exit 2 ;;
esac

failed=0
for form in $forms; do
    flags=
    [ "$form" = portable ] && flags=-DLK_FUTEX_PORTABLE=1
    for source in "$root"/src/base/*.c "$root"/src/lock/*.c \
                  "$root"/tests/portable/plain_harness.c; do
        $cc -std=gnu11 -O2 -fPIC -fexceptions -D_GNU_SOURCE= -DLK_VERSION_TEXT='"0"' $flags \
            -I"$root/src" -I"$root/include" -I"$root/tests/harness" -c "$source" \
            -o "$work/$(basename "$source" .c).o" || exit 1
    done
    for source in "$root"/tests/unit/lock_*_test.c "$root"/tests/stress/lock_threads_test.c; do
        name=$(basename "$source" .c)
        # Static, so that the emulator needs no library of the other processor.
        $cc -std=gnu11 -O2 -static -D_GNU_SOURCE= -I"$root/src" -I"$root/include" \
            -I"$root/tests/harness" "$source" "$work"/*.o -o "$work/$name" -pthread || exit 1
        if T_TIMEOUT_SCALE=5 timeout 300 $run "$work/$name" $without >"$work/out" 2>&1; then
            echo "ok $form $name: $(grep -c '^ok' "$work/out") tests"
        else
            echo "FAIL $form $name"
            grep -v '^ok' "$work/out"
            failed=1
        fi
    done
done
exit $failed
