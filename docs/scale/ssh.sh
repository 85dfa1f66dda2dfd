#!/bin/bash
# Parts over ssh, a host each; all hosts see /data. A host that fails: the same command again takes up what is left.
set -uo pipefail
hosts=(node1 node2 node3)
failed=0
for i in "${!hosts[@]}"; do
    ssh "${hosts[$i]}" env KPL_HOME=/data/kpl-home \
        kpl embed /data/manifest.csv --encoder mini --out /data/feat --part "$i/${#hosts[@]}" &
done
for job in $(jobs -p); do wait "$job" || failed=1; done
[ "$failed" = 0 ] && kpl embed --join /data/feat
