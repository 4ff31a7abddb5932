#!/bin/bash
# The broker: bound to the cluster's network, one user for each role, passwords made here by chance (the nodes' one
# comes with the template, because nodes have to know it too).
set -euo pipefail
# shellcheck source=../../../default/cluster-init/files/common.sh
. /opt/celery-autoscaler/common.sh
FILES=${CYCLECLOUD_SPEC_PATH:-$(cd "$(dirname "$0")/.." && pwd)}/files

kind=$(config celery.broker.kind redis)
case $kind in redis | rabbitmq | managed) ;; *) die "celery.broker.kind is '$kind'; redis, rabbitmq or managed would be right" ;; esac

data_folder 0750 celery-control "$DATA_DIR/state"
secret web >/dev/null

pem() { # KEY: as text, or in one line of base64
  local text
  text=$(config "$1")
  case $text in *-----BEGIN*) printf '%s\n' "$text" ;; *) printf '%s' "$text" | base64 -d ;; esac
}
if config_is_true celery.broker.tls; then
  pem celery.broker.tls_ca | put 0444 root:root "$ETC_DIR/ca.pem"
fi

if [ "$kind" = managed ]; then
  # None is here, also where there was one.
  if [ -e /etc/systemd/system/celery-broker.service ]; then
    systemctl disable --now --quiet celery-broker.service
    rm /etc/systemd/system/celery-broker.service
    systemctl daemon-reload
  fi
  say "the broker is elsewhere"
  exit
fi

data_folder 0750 celery-broker "$DATA_DIR/redis"
# Old and new at once, so that a password is changed without an hour in which half of the nodes are locked out.
config celery.broker.node_secret | put 0400 root:root "$DATA_DIR/secrets/node"
[ "$(wc -c <"$DATA_DIR/secrets/node")" -ge 16 ] || die "the secret of the nodes is shorter than 16 characters"
config celery.broker.previous_node_secret "" | put 0400 root:root "$DATA_DIR/secrets/node.previous"
for role in control operator admin; do secret "$role" >/dev/null; done

# Redis: the broker itself, or, beside RabbitMQ, the place of the results.
address=$(hostname -I | cut -d' ' -f1)
python=$VENV/bin/python
put 0755 root:root "$HOME_DIR/bin/redis-users" <"$FILES/redis_users.py"
# A list of users and hashes of their passwords.
"$python" "$HOME_DIR/bin/redis-users" "$DATA_DIR/secrets" --queues "$(config celery.queues celery)" |
  put 0440 root:celery-broker "$ETC_DIR/redis-users.acl"
{
  cat "$FILES/redis.conf"
  printf 'bind 127.0.0.1 %s\n' "$address"
  if config_is_true celery.broker.tls; then
    printf 'port 0\ntls-port 6379\ntls-auth-clients no\n'
    printf 'tls-cert-file %s\ntls-key-file %s\n' "$ETC_DIR/broker.pem" "$ETC_DIR/broker.key"
  else
    printf 'port 6379\n'
  fi
} | put 0440 root:celery-broker "$ETC_DIR/redis.conf"

if config_is_true celery.broker.tls; then
  pem celery.broker.tls_certificate | put 0444 root:root "$ETC_DIR/broker.pem"
  pem celery.broker.tls_key | put 0440 root:celery-broker "$ETC_DIR/broker.key"
fi

# The one of the blob is pinned and hashed like the rest. It does without TLS: then it is the image's.
server=""
if ! config_is_true celery.broker.tls; then server=$("$python" "$FILES/wheels_server.py" || true); fi
for each in valkey-server redis-server; do
  [ -n "$server" ] || server=$(PATH=/usr/local/bin:/usr/bin:/bin command -v "$each" || true)
done
[ -n "$server" ] || die "there is no Redis or Valkey for this: with TLS, or on this processor, the image has to bring it"
ln -sfn "$server" "$HOME_DIR/bin/redis-server"
put 0755 root:root "$HOME_DIR/bin/broker-ctl" <"$FILES/broker_ctl.py"
put 0644 root:root /etc/systemd/system/celery-broker.service <"$FILES/celery-broker.service"
systemctl daemon-reload
systemctl enable --quiet celery-broker.service

if [ "$(cat "$ETC_DIR/redis-users.loaded" 2>/dev/null || true)" != "$(sha256sum <"$ETC_DIR/redis-users.acl")" ] &&
  systemctl is-active --quiet celery-broker.service; then
  # Users are changed without a restart: who is connected stays connected.
  # Not where the password with which that is asked for is itself a new one.
  systemctl reload celery-broker.service || systemctl restart celery-broker.service
fi
certificate=()
if config_is_true celery.broker.tls; then certificate=("$ETC_DIR/broker.pem" "$ETC_DIR/broker.key"); fi
restart_if_changed celery-broker.service "$ETC_DIR/redis.conf" /etc/systemd/system/celery-broker.service "${certificate[@]}"
sha256sum <"$ETC_DIR/redis-users.acl" | put 0600 root:root "$ETC_DIR/redis-users.loaded"

if [ "$kind" = rabbitmq ]; then
  # shellcheck source=../files/rabbitmq.sh
  . "$FILES/rabbitmq.sh"
fi
say "the broker ($kind) is up"
