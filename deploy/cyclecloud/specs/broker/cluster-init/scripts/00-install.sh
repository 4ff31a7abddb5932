#!/bin/bash
# The control side, and the broker unless the image or a service is it: one virtual environment, from a blob.
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh

user() { # NAME
  getent group "$1" >/dev/null || groupadd --system "$1"
  getent passwd "$1" >/dev/null ||
    useradd --system --gid "$1" --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin "$1"
}
user celery-broker
user celery-control
install_role broker
