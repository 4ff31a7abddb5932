#!/bin/bash
# The unit, the scripts that empty the node when it is evicted or terminated, and how long it may take to drain.
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh
FILES=${CYCLECLOUD_SPEC_PATH:-$(cd "$(dirname "$0")/.." && pwd)}/files

drain=$(config celery.worker.drain_seconds 300)
case $drain in '' | *[!0-9]*) die "celery.worker.drain_seconds is '$drain'; a whole number of seconds would be right" ;; esac
put 0644 root:root /etc/systemd/system/celery-worker.service <"$FILES/celery-worker.service"
folder 0755 root:root /etc/systemd/system/celery-worker.service.d
printf '[Service]\nTimeoutStopSec=%s\n' "$drain" | put 0644 root:root /etc/systemd/system/celery-worker.service.d/drain.conf

put 0755 root:root "$HOME_DIR/bin/worker-answers" <"$FILES/worker_answers.sh"
put 0755 root:root "$HOME_DIR/bin/drain" <"$FILES/drain.sh"
# Without these, jetpack acknowledges an event at once: the notice is then worth nothing.
folder 0755 root:root /opt/cycle/jetpack/scripts
printf '#!/bin/bash\nexec %s/bin/drain 20\n' "$HOME_DIR" | put 0755 root:root /opt/cycle/jetpack/scripts/onPreempt.sh
printf '#!/bin/bash\nexec %s/bin/drain %s\n' "$HOME_DIR" "$drain" | put 0755 root:root /opt/cycle/jetpack/scripts/onTerminate.sh
systemctl daemon-reload
systemctl enable --quiet celery-worker.service
