# shellcheck shell=bash
# What the scripts of all roles share. Each sources it as its first act; it switches strictness on.
#
# Everything that these scripts print is kept by jetpack in a log that `jetpack report_issue` uploads. So no secret
# is an argument, none is printed, and none of them ever says `set -x`.
set -euo pipefail
umask 022

JETPACK=${JETPACK:-/opt/cycle/jetpack/bin/jetpack}
PROJECT=${CYCLECLOUD_PROJECT_NAME:-celery-cluster-autoscaler}

HOME_DIR=/opt/celery-autoscaler      # programs; made anew from the blob by each version
ETC_DIR=/etc/celery-autoscaler       # what this machine was told; made anew by each converge
DATA_DIR=/var/lib/celery-autoscaler  # what has to last: on the broker node a volume that outlives the machine
VENV=$HOME_DIR/venv

say() { printf '%s\n' "$*"; }

# die SENTENCE: ends the converge with a sentence that is also shown on the cluster's page.
die() {
  printf 'error: %s\n' "$*" >&2
  "$JETPACK" log "celery: $*" --level error --priority high >/dev/null 2>&1 || true
  exit 1
}

# config KEY [DEFAULT]: what the template says. Without a default, a key that is missing or empty is an error.
config() {
  local value
  value=$("$JETPACK" config "$1" "" 2>/dev/null) || value=""
  [ "$value" = None ] && value=""
  if [ -z "$value" ] && [ $# -lt 2 ]; then
    die "the node's configuration has no $1; the cluster template sets it (see docs/deploy.md)"
  fi
  printf '%s' "${value:-${2:-}}"
}

# config_is_true KEY [DEFAULT]: jetpack prints booleans as True and False.
config_is_true() {
  case $(config "$1" "${2:-False}") in [Tt]rue | 1 | [Yy]es) return 0 ;; *) return 1 ;; esac
}

# put MODE OWNER DESTINATION: standard input becomes that file, whole or not at all, and is touched only if it
# differs. The new file is never readable for more people than its mode says, not for a moment.
put() {
  local mode=$1 owner=$2 destination=$3 new
  new=$(mktemp "$(dirname "$destination")/.new.XXXXXX") # mode 0600
  cat >"$new"
  chown "$owner" "$new"
  chmod "$mode" "$new"
  if [ -f "$destination" ] && cmp -s "$new" "$destination" &&
    [ "$(stat -c '%a %U:%G' "$new")" = "$(stat -c '%a %U:%G' "$destination")" ]; then
    rm -f "$new"
  else
    mv -f "$new" "$destination"
  fi
}

# folder MODE OWNER PATH
folder() {
  mkdir -p "$3"
  chown "$2" "$3"
  chmod "$1" "$3"
}

# data_folder MODE USER PATH: a folder of the volume, which may come from a machine whose users had other numbers: all
# that is in it is given to the user of now.
data_folder() {
  folder "$1" "$2:$2" "$3"
  find "$3" \( ! -user "$2" -o ! -group "$2" \) -exec chown --no-dereference "$2:$2" {} +
}

# secret NAME: the secret of that name, made by chance at the first call. Only ever read into files and pipes.
secret() {
  local file=$DATA_DIR/secrets/$1
  if [ ! -s "$file" ]; then
    head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' | put 0400 root:root "$file"
  fi
  cat "$file"
}

# find_python: the newest Python that the wheels in the blobs are for.
find_python() {
  local name
  for name in python3.13 python3.12 python3.11 python3; do
    # Not one of a person's own in /root or /home: the services may not read there.
    name=$(PATH=/usr/local/bin:/usr/bin:/bin command -v "$name") || continue
    if "$name" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      printf '%s' "$name"
      return
    fi
  done
  die "this image has no Python 3.11, 3.12 or 3.13 in /usr/bin or /usr/local/bin; choose one that has (ubuntu24), or install one in an image of your own"
}

# install_role ROLE: the virtual environment of this role, from its blob alone: no index is asked, and a file with
# another hash than the one that was pinned when the project was built is refused.
install_role() {
  local role=$1 version name blob work python
  version=$(cat "$HOME_DIR/version")
  name=celery-$role-$version
  if [ -f "$VENV/.complete" ] && [ "$(cat "$VENV/.complete")" = "$name" ]; then
    say "$name is installed"
    return
  fi
  work=$(mktemp -d /var/tmp/celery-autoscaler.XXXXXX)
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$work'" EXIT
  blob=$work/$name.tar.gz
  "$JETPACK" download "$name.tar.gz" --project "$PROJECT" "$blob" ||
    die "the blob $name.tar.gz cannot be had: run 'make dist', then 'cyclecloud project upload' in deploy/cyclecloud"
  tar -xzf "$blob" -C "$work" --no-same-owner
  python=$(find_python)
  # Beside the old one, then in its place: a converge that is killed leaves one of the two, whole.
  rm -rf "$VENV.new"
  "$python" -m venv --without-pip "$VENV.new"
  # pip itself comes with the blob: not every image has ensurepip.
  PYTHONPATH=$(echo "$work/$name"/pip/pip-*.whl) "$VENV.new/bin/python" -m pip install \
    --quiet --disable-pip-version-check --no-cache-dir --no-index --no-deps --find-links "$work/$name/wheels" \
    --require-hashes --only-binary :all: --requirement "$work/$name/requirements.txt"
  # A virtual environment knows its own path: the scripts in it are told where it will be.
  grep -rlI "$VENV.new" "$VENV.new/bin" "$VENV.new/pyvenv.cfg" | xargs -r sed -i "s|$VENV.new|$VENV|g"
  printf '%s' "$name" >"$VENV.new/.complete"
  rm -rf "$VENV.old"
  if [ -e "$VENV" ]; then mv "$VENV" "$VENV.old"; fi
  mv "$VENV.new" "$VENV"
  rm -rf "$VENV.old"
  say "installed $name with $python"
}

# restart_if_changed UNIT FILE...: starts a unit, or starts it again if one of the files is not what it started with.
restart_if_changed() {
  local unit=$1 sum
  shift
  sum=$(cat "$@" "$VENV/.complete" | sha256sum | cut -d' ' -f1)
  if systemctl is-active --quiet "$unit" && [ "$(cat "$ETC_DIR/.started/$unit" 2>/dev/null)" = "$sum" ]; then
    return
  fi
  systemctl restart "$unit" || die "$unit does not start: journalctl -u $unit says why"
  folder 0700 root:root "$ETC_DIR/.started"
  printf '%s' "$sum" | put 0600 root:root "$ETC_DIR/.started/$unit"
}

# proven_active SECONDS UNIT...: all of them run, and go on to run for ten seconds as the same processes: a program that
# does not start needs a few seconds to find that out, and systemd then tries again for ever.
proven_active() {
  local left=$1 good=0 now="" before="" unit
  shift
  while [ "$left" -gt 0 ]; do
    now=""
    for unit in "$@"; do now+="$(systemctl show -p SubState -p MainPID --value "$unit" | tr '\n' ' ')"; done
    if [ "$now" = "$before" ] && [ "$(grep -o running <<<"$now" | wc -l)" = $# ]; then good=$((good + 1)); else good=0; fi
    [ "$good" -ge 10 ] && return
    before=$now
    left=$((left - 1))
    sleep 1
  done
  for unit in "$@"; do
    systemctl show -p Id -p SubState -p NRestarts "$unit" | tr '\n' ' '
  done
  die "these units are not all up: $*; journalctl -u UNIT says why"
}
