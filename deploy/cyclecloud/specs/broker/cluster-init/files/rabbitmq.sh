# shellcheck shell=bash
# Sourced by 10-broker.sh where the broker is RabbitMQ: the image brings it, the configuration and the users are ours.
command -v rabbitmqctl >/dev/null || die "this image has no RabbitMQ; install rabbitmq-server in an image of your own, or take Redis"
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
restart_if_changed rabbitmq-server.service /etc/rabbitmq/conf.d/50-celery-autoscaler.conf
rabbitmqctl --quiet await_startup --timeout 120 || die "RabbitMQ does not start: journalctl -u rabbitmq-server says why"

rabbitmqctl --quiet list_vhosts name | grep -qx celery || rabbitmqctl --quiet add_vhost celery
# rabbit_user NAME FILE CONFIGURE WRITE READ: the password goes through a pipe, never through an argument.
rabbit_user() {
  local verb=add_user
  rabbitmqctl --quiet list_users | cut -f1 | grep -qx "$1" && verb=change_password
  rabbitmqctl --quiet "$verb" "$1" <"$2" >/dev/null
  rabbitmqctl --quiet set_permissions --vhost celery "$1" "$3" "$4" "$5"
}
if rabbitmqctl --quiet list_users | cut -f1 | grep -qx guest; then rabbitmqctl --quiet delete_user guest; fi
# All but what is the control side's own (the queue of requests, the lease, the queue of notes): neither read, nor
# purged, nor made. Through the default exchange, by which Celery sends, a node can still write to them: RabbitMQ knows
# rights to an exchange and not to what is behind it (docs/security.md).
not_control='^(?!autoscale(\..*)?$).*'
rabbit_user control "$DATA_DIR/secrets/control" '.*' '.*' '.*'
rabbit_user operator "$DATA_DIR/secrets/operator" '.*' '.*' '.*'
rabbit_user node "$DATA_DIR/secrets/node" "$not_control" "$not_control" "$not_control"
if [ -s "$DATA_DIR/secrets/node.previous" ]; then
  rabbit_user node-previous "$DATA_DIR/secrets/node.previous" "$not_control" "$not_control" "$not_control"
fi
