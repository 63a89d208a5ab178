#!/bin/bash
# APCu's kill test under liblatchkey-pthread.so, again and again, a minute each.
#     CAMPAIGN_SHORT=1    2 rounds
rounds=10
[ "${CAMPAIGN_SHORT:-0}" = 1 ] && rounds=2
export LK_PTHREAD_SO=$LK_BUILD_ROOT/dev/bindings/pthread/liblatchkey-pthread.so
export LK_PTHREAD_PROGRAMS=$LK_BUILD_ROOT/dev/tests/pthread
failed=0
for ((i = 1; i <= rounds; i++)); do
    bash "$(dirname "$0")/pthread_test" apcu_does_not_wedge 60
    code=$?
    [ $code -eq 77 ] && exit 77
    [ $code -eq 0 ] || failed=$((failed + 1))
done
echo "$rounds rounds, $failed failed"
[ "$failed" -eq 0 ]
