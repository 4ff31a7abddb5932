#!/bin/bash
# launch COMMAND...: what a unit runs. The secrets that systemd hands to this unit alone (LoadCredential) become
# the variables that the program reads; no unit file, no argument and no file that others may read has them.
set -euo pipefail
credential() { # VARIABLE NAME
  local file=${CREDENTIALS_DIRECTORY:?this is run by systemd}/$2
  if [ -s "$file" ]; then export "$1=$(cat "$file")"; fi
}
credential CELERY_BROKER_URL broker-url
credential CELERY_RESULT_BACKEND result-backend
credential CYCLECLOUD_PASSWORD cyclecloud-password
credential AUTOSCALER_WEB_PASSWORD web-password
credential AUTOSCALER_RABBITMQ_MANAGEMENT_URL rabbitmq-management-url
exec "$@"
