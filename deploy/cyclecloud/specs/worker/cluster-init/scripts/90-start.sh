#!/bin/bash
# The last act: the worker runs, and stays up, before the node is Ready.
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh
restart_if_changed celery-worker.service /etc/systemd/system/celery-worker.service \
  /etc/systemd/system/celery-worker.service.d/drain.conf "$DATA_DIR/node.env" "$DATA_DIR/secrets/broker-url"
proven_active celery-worker.service 30
say "the worker is up"
