#!/bin/bash
# launch COMMAND...: what a unit runs. The secrets that systemd hands to this unit alone (LoadCredential) become
# the variables that the program reads; no unit file, no argument and no file that others may read has them.
set -euo pipefail
folder=${CREDENTIALS_DIRECTORY:?this is run by systemd}
# Silent without its broker is worse than down: what is not readable is an error.
[ -r "$folder" ] || { echo "error: $folder cannot be read" >&2; exit 78; }
credential() { # VARIABLE NAME
  if [ -s "$folder/$2" ]; then
    export "$1=$(cat "$folder/$2")"
  elif [ "$2" = broker-url ] && [ -e "$folder/$2" ]; then
    echo "error: the broker's address is empty" >&2
    exit 78
  fi
}
credential CELERY_BROKER_URL broker-url
credential CELERY_RESULT_BACKEND result-backend
credential CYCLECLOUD_PASSWORD cyclecloud-password
credential AUTOSCALER_WEB_PASSWORD web-password
exec "$@"
