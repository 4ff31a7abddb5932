#!/bin/bash
# worker-answers SECONDS: 0 as soon as this node's worker answers by way of the broker, 1 if it did not by then.
set -euo pipefail
seconds=${1:?seconds}
set -a
# shellcheck disable=SC1091
. /var/lib/celery-autoscaler/node.env
CELERY_BROKER_URL=$(cat /var/lib/celery-autoscaler/secrets/broker-url)
set +a
export CELERY_BROKER_URL
cd /
end=$((SECONDS + seconds))
until setpriv --reuid celery --regid celery --clear-groups --no-new-privs \
  /opt/celery-autoscaler/venv/bin/celery -A "$CELERY_APP" inspect ping --timeout 5 \
  --destination "celery@$NODE_HOSTNAME" >/dev/null 2>&1; do
  [ "$SECONDS" -lt "$end" ] || exit 1
  sleep 1
done
