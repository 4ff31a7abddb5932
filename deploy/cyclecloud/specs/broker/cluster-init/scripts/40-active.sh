#!/bin/bash
# The broker node is Ready when its services are, and stay so.
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh
proven_active 90 celery-broker.service celery-control.service celery-beat.service celery-page.service
say "broker, control worker, beat and page are up"
