#!/bin/bash
# clang-tidy with clang's path-sensitive checks, which take minutes.
cd "$LK_SOURCE" || exit 1
[ "$CAMPAIGN_SHORT" = 1 ] && exec tools/dev/analyze_clang_tidy --quick
exec tools/dev/analyze_clang_tidy
