#!/bin/bash
# The broker node is Ready when its services are, and stay so.
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh
for unit in celery-broker celery-control celery-beat celery-page; do
  proven_active "$unit.service" 30
done
say "broker, control worker, beat and page are up"
