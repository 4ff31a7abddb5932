#!/bin/bash
# drain SECONDS: empty this node, and be done within so many seconds.
#
# First a warm shutdown: nothing more is taken, what runs may end. What still runs when the time is nearly over is given
# back to its queue (a cold shutdown), to run again on another node, rather than be lost with the machine until the
# broker finds out. Ends with 0 in any case: jetpack holds the event until then.
set -uo pipefail
seconds=${1:?seconds}
unit=celery-worker.service
systemctl stop --no-block "$unit"
runs() { [ "$(systemctl show -p MainPID --value "$unit")" != 0 ]; }
for ((left = seconds; left > 0; left--)); do
  runs || exit 0
  # A worker needs a moment to give back.
  if [ "$left" = 5 ]; then systemctl kill --kill-who=main --signal=SIGQUIT "$unit"; fi
  sleep 1
done
runs && systemctl kill --signal=SIGKILL "$unit"
exit 0
