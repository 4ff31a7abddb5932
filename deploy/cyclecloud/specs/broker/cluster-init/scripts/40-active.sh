#!/bin/bash
# The broker node is Ready when its services are, and stay so.
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh
case $(config celery.broker.kind redis) in
  managed) brokers=() ;;
  rabbitmq) brokers=(celery-broker.service rabbitmq-server.service) ;;
  *) brokers=(celery-broker.service) ;;
esac
proven_active 90 "${brokers[@]}" celery-control.service celery-beat.service celery-page.service
say "all units are up"
