#!/bin/bash
# What this node is and where its broker is, asked of jetpack; once now, so that what is missing fails here, and again at
# each start of the worker.
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh
FILES=${CYCLECLOUD_SPEC_PATH:-$(cd "$(dirname "$0")/.." && pwd)}/files
put 0755 root:root "$HOME_DIR/bin/node-facts" <"$FILES/node_facts.py"
JETPACK=$JETPACK "$HOME_DIR/bin/node-facts" --strict || die "this node does not know what it needs; see the output of this script"
