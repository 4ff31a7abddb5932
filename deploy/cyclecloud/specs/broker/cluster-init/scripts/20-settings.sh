#!/bin/bash
# autoscale.json, and the secrets of each unit in a file of its own that systemd hands to that unit alone.
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh
FILES=${CYCLECLOUD_SPEC_PATH:-$(cd "$(dirname "$0")/.." && pwd)}/files

# CycleCloud's password: a user's own, made for this cluster, or what the installation gives to its nodes.
password=$(config celery.cyclecloud.password "")
if [ -z "$password" ]; then password=$(config cyclecloud.config.password); fi
printf '%s' "$password" | put 0400 root:root "$DATA_DIR/secrets/cyclecloud-password"
unset password

put 0755 root:root "$HOME_DIR/bin/write-settings" <"$FILES/write_settings.py"
# It asks jetpack itself, and its output goes into files: nothing of it is on this script's.
JETPACK=$JETPACK "$VENV/bin/python" "$HOME_DIR/bin/write-settings" autoscale |
  put 0640 root:celery-control "$ETC_DIR/autoscale.json"
JETPACK=$JETPACK "$VENV/bin/python" "$HOME_DIR/bin/write-settings" environment |
  put 0644 root:root "$ETC_DIR/shell.env"
for each in control operator; do
  JETPACK=$JETPACK "$VENV/bin/python" "$HOME_DIR/bin/write-settings" broker-url "$each" |
    put 0400 root:root "$DATA_DIR/secrets/$each.broker-url"
  JETPACK=$JETPACK "$VENV/bin/python" "$HOME_DIR/bin/write-settings" result-backend "$each" |
    put 0400 root:root "$DATA_DIR/secrets/$each.result-backend"
done
JETPACK=$JETPACK "$VENV/bin/python" "$HOME_DIR/bin/write-settings" secrets |
  put 0600 root:root "$ETC_DIR/secrets.env"
say "settings are written"
