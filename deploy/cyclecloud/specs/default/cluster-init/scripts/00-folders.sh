#!/bin/bash
# Every node: the folders, and what the scripts of its role share. /mnt/cluster-init is on a disk that is gone after a
# deallocate, so nothing that has to last stays there.
set -euo pipefail
FILES=${CYCLECLOUD_SPEC_PATH:-$(cd "$(dirname "$0")/.." && pwd)}/files
# shellcheck source=../files/common.sh
. "$FILES/common.sh"

folder 0755 root:root "$HOME_DIR"
folder 0755 root:root "$HOME_DIR/bin"
folder 0755 root:root "$ETC_DIR"
folder 0755 root:root "$DATA_DIR"
folder 0700 root:root "$DATA_DIR/secrets"
# What a converge left that was killed.
find "$HOME_DIR" "$ETC_DIR" "$DATA_DIR/secrets" /etc/systemd/system -maxdepth 2 -name '.new.??????' -type f -delete
rm -rf /var/tmp/celery-autoscaler.*
put 0644 root:root "$HOME_DIR/common.sh" <"$FILES/common.sh"
put 0755 root:root "$HOME_DIR/bin/launch" <"$FILES/launch.sh"
put 0644 root:root "$HOME_DIR/version" <"$FILES/version"
# Where the text that this project began with looks for it: source /opt/cycle/scalelib/venv/celery/bin/activate
folder 0755 root:root /opt/cycle/scalelib/venv/celery/bin
put 0644 root:root /opt/cycle/scalelib/venv/celery/bin/activate <"$FILES/activate"
