#!/bin/bash
# 100,000 kills of readers and writers of the robust locks over 8 processes: no hang, nothing torn.
#     CAMPAIGN_SHORT=1    3,000 kills
# Exit: 0 sound, 1 not, 130 interrupted.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
LK=${LK:-$here/../../build/lk}
kills=100000
[ "${CAMPAIGN_SHORT:-0}" = 1 ] && kills=3000
exec "$LK" storm --locks --workers 8 --kills $kills
