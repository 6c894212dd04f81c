#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# bench/profile.sh FILE: of what BATON_PROFILE wrote (base/profile.c), the median time between each two neighbouring points of the passages, in nanoseconds.
#
#       cmake --preset release -B build/profile -DBATON_PROFILE=ON -DBATON_TESTS=OFF && cmake --build build/profile
#       BATON_PROFILE=/tmp/points build/profile/bin/baton-bench handover --strategy hot --sizes 1GiB && bench/profile.sh /tmp/points
set -eu
mhz=$(awk '/cpu MHz/ { print $4; exit }' /proc/cpuinfo)
grep -E ' (handover.due|capture.done|capture.sealed|pass.done|passed.seen|restore.begin|restore.done|confirm.done|serve.done) ' "$1" |
sort -k3,3n | awk -v mhz="$mhz" '
        { if (last && ($2 != "handover.due" || last != "handover.due") && $3 - at < 100000) print last " -> " $2, ($3 - at) * 1000 / mhz; last = $2; at = $3 }' |
sort -k1,3 -k4,4n | awk '
        function flush() { if (n) printf("%-36s %8.0f ns  p90 %8.0f  n %d\n", name, v[int((n + 1) / 2)], v[int((n * 9 + 9) / 10)], n); n = 0 }
        { key = $1 " " $2 " " $3; if (key != name) { flush(); name = key } v[++n] = $4 }
        END { flush() }'
