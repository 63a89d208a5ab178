#!/bin/bash
# Attaching is killed for real at every single instruction; make test does it at every fifth.
cd "$LK_BUILD_ROOT/dev/tests" || exit 1
[ "$CAMPAIGN_SHORT" = 1 ] || export LK_KILL_STEP=1
./kill_death_test attaching_loses_no_slot &&
    ./kill_death_test attaching_in_a_dead_threads_slot_loses_no_slot
