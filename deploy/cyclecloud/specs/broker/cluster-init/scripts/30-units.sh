#!/bin/bash
# The control worker, beat and the page as units; what a person runs, in /root.
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh
FILES=${CYCLECLOUD_SPEC_PATH:-$(cd "$(dirname "$0")/.." && pwd)}/files

for unit in celery-control celery-beat celery-page; do
  put 0644 root:root "/etc/systemd/system/$unit.service" <"$FILES/$unit.service"
done
folder 0755 root:root "$HOME_DIR/root"
for script in add_task.py autoscale.py check_tasks.py tasks.py; do
  put 0755 root:root "$HOME_DIR/root/$script" <"$FILES/root/$script"
  ln -sfn "$HOME_DIR/root/$script" "/root/$script"
done
# What `jetpack test` runs here, to read.
put 0644 root:root "$HOME_DIR/root/test_broker.py" <"$FILES/../tests/test_broker.py"
ln -sfn "$HOME_DIR/root/test_broker.py" /root/test_broker.py
put 0755 root:root "$HOME_DIR/bin/autoscaler" <"$FILES/autoscaler.sh"
ln -sfn "$HOME_DIR/bin/autoscaler" /usr/local/sbin/autoscaler

systemctl daemon-reload
if config_is_true celery.signing True; then
  # The control side's key is made here, by its own user and for it alone, and its public half shown to people: with that
  # in the template, a node obeys nobody else from its first command on.
  key=$("$HOME_DIR/bin/autoscaler" keys --json | "$VENV/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["control"])')
  say "nodes and control side sign; ControlKey of the template may be $key"
fi
# Switched off in the template: nothing is launched or ended from the next pass on. What a person paused stays so.
# That it was the template is remembered where the pause is, on the volume.
paused=$DATA_DIR/paused-by-template
if ! config_is_true celery.autoscale.enabled; then
  if [ ! -e "$paused" ]; then
    "$HOME_DIR/bin/autoscaler" pause
    touch "$paused"
  fi
elif [ -e "$paused" ]; then
  "$HOME_DIR/bin/autoscaler" resume
  rm -f "$paused"
fi
for unit in celery-control celery-beat celery-page; do
  systemctl enable --quiet "$unit.service"
  restart_if_changed "$unit.service" "/etc/systemd/system/$unit.service" "$ETC_DIR/autoscale.json" \
    "$ETC_DIR/shell.env" "$DATA_DIR/secrets/control.broker-url" "$DATA_DIR/secrets/control.result-backend" \
    "$DATA_DIR/secrets/cyclecloud-password" "$DATA_DIR/secrets/web"
done
