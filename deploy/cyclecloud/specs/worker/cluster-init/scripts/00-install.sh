#!/bin/bash
# What a node needs and no more: Celery, the broker's client, the resources of this project, the tasks of the demo.
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh
getent group celery >/dev/null || groupadd --system celery
getent passwd celery >/dev/null ||
  useradd --system --gid celery --home-dir /var/lib/celery-worker --no-create-home --shell /usr/sbin/nologin celery
install_role worker
