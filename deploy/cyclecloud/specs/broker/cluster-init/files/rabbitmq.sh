# shellcheck shell=bash
# Sourced by 10-broker.sh where the broker is RabbitMQ: the image brings it, the configuration and the users are ours.
command -v rabbitmqctl >/dev/null || die "this image has no RabbitMQ; install rabbitmq-server in an image of your own, or take Redis"
unit_folder=/etc/systemd/system/rabbitmq-server.service.d
for each in /etc/rabbitmq/conf.d "$unit_folder" /etc/systemd/system/epmd.socket.d; do folder 0755 root:root "$each"; done
# Its data is on the volume, under a name that does not change with the machine's. Erlang's own ports are for nobody else.
data_folder 0750 rabbitmq "$DATA_DIR/rabbitmq"
put 0644 root:root /etc/rabbitmq/rabbitmq-env.conf <<END
NODENAME=rabbit@localhost
MNESIA_BASE=$DATA_DIR/rabbitmq
export ERL_EPMD_ADDRESS=127.0.0.1
export ERL_FLAGS="-kernel inet_dist_use_interface {127,0,0,1}"
END
printf '[Socket]\nListenStream=\nListenStream=127.0.0.1:4369\n' |
  put 0644 root:root /etc/systemd/system/epmd.socket.d/celery-autoscaler.conf
put 0644 root:root "$unit_folder/celery-autoscaler.conf" <<END
[Unit]
RequiresMountsFor=$DATA_DIR
StartLimitIntervalSec=0
[Service]
Restart=always
END
{
  if config_is_true celery.broker.tls; then
    printf 'listeners.tcp = none\nlisteners.ssl.default = 5671\n'
    printf 'ssl_options.cacertfile = %s\nssl_options.certfile = %s\nssl_options.keyfile = %s\nssl_options.verify = verify_none\n' \
      "$ETC_DIR/ca.pem" "$ETC_DIR/broker.pem" /etc/rabbitmq/broker.key
  else
    # shellcheck disable=SC2154  # set by who sources this
    printf 'listeners.tcp.1 = 127.0.0.1:5672\nlisteners.tcp.2 = %s:5672\n' "$address"
  fi
  # The user guest, whose password everybody knows, is removed below, and so is its right to come from elsewhere.
  printf 'loopback_users.guest = true\n'
} | put 0644 root:root /etc/rabbitmq/conf.d/50-celery-autoscaler.conf
if config_is_true celery.broker.tls; then
  put 0440 root:rabbitmq /etc/rabbitmq/broker.key <"$ETC_DIR/broker.key"
fi
certificate=()
if config_is_true celery.broker.tls; then certificate=("$ETC_DIR/ca.pem" "$ETC_DIR/broker.pem" /etc/rabbitmq/broker.key); fi
systemctl daemon-reload
systemctl enable --quiet rabbitmq-server.service
restart_if_changed rabbitmq-server.service /etc/rabbitmq/conf.d/50-celery-autoscaler.conf \
  /etc/rabbitmq/rabbitmq-env.conf "$unit_folder/celery-autoscaler.conf" "${certificate[@]}"
rabbitmqctl --quiet await_startup --timeout 120 || die "RabbitMQ does not start: journalctl -u rabbitmq-server says why"

# has NAME LIST-COMMAND: whether a name is in the first column of what rabbitmqctl lists; it is read to its end.
has() { rabbitmqctl --quiet "$2" | cut -f1 | grep -x "$1" >/dev/null; }
has celery list_vhosts || rabbitmqctl --quiet add_vhost celery
# rabbit_user NAME FILE CONFIGURE WRITE READ: the password goes through a pipe, never through an argument.
rabbit_user() {
  local verb=add_user
  if has "$1" list_users; then verb=change_password; fi
  rabbitmqctl --quiet "$verb" "$1" <"$2" >/dev/null
  rabbitmqctl --quiet set_permissions --vhost celery "$1" "$3" "$4" "$5"
}
if has guest list_users; then rabbitmqctl --quiet delete_user guest; fi
# All but what is the control side's own (the queue of requests, the lease, the queue of notes): neither read, nor
# purged, nor made. Through the default exchange, by which Celery sends, a node can still write to them: RabbitMQ knows
# rights to an exchange and not to what is behind it (docs/security.md).
not_control='^(?!autoscale(\..*)?$).*'
rabbit_user control "$DATA_DIR/secrets/control" '.*' '.*' '.*'
rabbit_user operator "$DATA_DIR/secrets/operator" '.*' '.*' '.*'
rabbit_user node "$DATA_DIR/secrets/node" "$not_control" "$not_control" "$not_control"
if [ -s "$DATA_DIR/secrets/node.previous" ]; then
  rabbit_user node-previous "$DATA_DIR/secrets/node.previous" "$not_control" "$not_control" "$not_control"
elif has node-previous list_users; then
  rabbitmqctl --quiet delete_user node-previous
fi
