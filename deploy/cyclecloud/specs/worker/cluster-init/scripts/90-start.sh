#!/bin/bash
# The last act: the worker runs, and stays up, before the node is Ready.
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh
restart_if_changed celery-worker.service /etc/systemd/system/celery-worker.service \
  /etc/systemd/system/celery-worker.service.d/drain.conf "$DATA_DIR/node.env" "$DATA_DIR/secrets/broker-url" \
  "$DATA_DIR/secrets/result-backend"
# That it runs is not enough: it answers, by way of the broker. A node that cannot reach its broker is not Ready.
"$HOME_DIR/bin/worker-answers" 90 || die "the worker does not answer: journalctl -u celery-worker says why"
say "the worker is up"
