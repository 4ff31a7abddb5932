#!/bin/bash
# drain SECONDS: empty this node, and be done within so many seconds.
#
# First a warm shutdown: nothing more is taken, what runs may end. What still runs when the time is nearly over is given
# back to its queue (a cold shutdown), to run again on another node, rather than be lost with the machine until the
# broker finds out. Ends with 0 in any case: jetpack holds the event until then.
set -uo pipefail
seconds=${1:?seconds}
unit=celery-worker.service
# By the clock, not by counting looks: the notice runs out on a busy machine, where a look takes long, as on any other.
end=$((SECONDS + seconds))
told=""
systemctl stop --no-block "$unit"
runs() { [ "$(systemctl show -p MainPID --value "$unit")" != 0 ]; }
while [ "$SECONDS" -lt "$end" ]; do
  runs || exit 0
  # A worker needs a moment to give back.
  if [ -z "$told" ] && [ $((end - SECONDS)) -le 5 ]; then
    systemctl kill --kill-who=main --signal=SIGQUIT "$unit"
    told=yes
  fi
  sleep 1
done
runs && systemctl kill --signal=SIGKILL "$unit"
exit 0
