#!/bin/bash
# autoscaler COMMAND: `celery -A autoscaler_app autoscaler COMMAND` as the control side's own user, so that no file of
# its is ever made by root. The same settings, the same secrets; they go through the environment, never an argument.
set -euo pipefail
[ "$(id -u)" = 0 ] || exec sudo -- "$0" "$@"
set -a
# shellcheck disable=SC1091
. /etc/celery-autoscaler/shell.env
# shellcheck disable=SC1091
. /etc/celery-autoscaler/secrets.env
CELERY_BROKER_URL=$(cat /var/lib/celery-autoscaler/secrets/control.broker-url)
CELERY_RESULT_BACKEND=$(cat /var/lib/celery-autoscaler/secrets/control.result-backend)
export CELERY_BROKER_URL CELERY_RESULT_BACKEND
set +a
cd /var/lib/celery-autoscaler/state
exec setpriv --reuid celery-control --regid celery-control --clear-groups --no-new-privs \
  /opt/celery-autoscaler/venv/bin/celery -A autoscaler_app autoscaler "$@"
