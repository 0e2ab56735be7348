#!/bin/sh
# Start one server of the stack: start.sh primary | replica | sentinel; `start.sh check` reports whether it is healthy.
# The same for compose and natively; all settings come from the environment:
#
#   NODE_HOST, NODE_PORT  the address under which the others know this one
#   NODE_BIND             the addresses to listen on
#   PRIMARY               host:port of the server that starts as the primary
#   SENTINELS             host:port of every Sentinel, separated by spaces
#   DATA, RUNTIME         a folder that survives restarts, and a private one for files with passwords
#   SHARED_ACL, STACK     config/redis-acl.conf, and the folder of this script
#   REDIS_*_PASSWORD      the password of each user; no white space, quotes or backslashes
#
# Everything is written at each start, so a changed password or setting needs only a restart. The exception is what the
# Sentinels decided: which server is the primary survives a restart of the whole stack.
set -eu
umask 077

role=$1
service=sale
# The sale waits for the failover: 2 s until a silent primary counts as gone, a second or two to elect and promote.
down_after_ms=2000

fail() {
  echo "start.sh: $*" >&2
  exit 1
}

# Print an ACL file without its comments, which Redis does not accept there, with the passwords that are set.
users() {
  script='/^#/d; /^$/d;'
  for pair in "flash-sale-sidecar ${REDIS_SIDECAR_PASSWORD:-}" "flash-sale-backend ${REDIS_PUBLISHER_PASSWORD:-}" \
    "example-backend ${REDIS_BACKEND_PASSWORD:-}" "admin ${REDIS_ADMIN_PASSWORD:-}" \
    "viewer ${REDIS_VIEWER_PASSWORD:-}" "exporter ${REDIS_EXPORTER_PASSWORD:-}" \
    "replica ${REDIS_REPLICA_PASSWORD:-}" "sentinel ${REDIS_SENTINEL_PASSWORD:-}"; do
    user=${pair%% *} password=${pair#* }
    [ -n "$password" ] || continue
    case $password in *[[:space:]\"\'\\]*) fail "the password of $user has white space, a quote or a backslash" ;; esac
    hash=$(printf %s "$password" | sha256sum)
    script="$script s/^user $user off /user $user on #${hash%% *} /;"
  done
  sed "$script" "$@"
}

# Run a command on a server, with a short timeout; print nothing if it does not answer.
ask() {
  address=$1
  shift
  timeout 2 redis-cli -h "${address%:*}" -p "${address##*:}" "$@" 2>/dev/null || true
}

# Print host:port of the primary, according to the first Sentinel that answers.
primary_by_sentinels() {
  for sentinel in $SENTINELS; do
    found=$(ask "$sentinel" SENTINEL GET-MASTER-ADDR-BY-NAME "$service" | tr '\n' ' ')
    case $found in
      ?*' '[0-9]*' ') printf '%s:%s' "${found%% *}" "$(printf %s "${found#* }" | tr -d ' ')" && return ;;
    esac
  done
}

# Print `replicaof` and its primary, or nothing if this server is the primary. The Sentinels decide; without them the
# previous state stays; at the very first start the roles decide.
replication() {
  named=$(primary_by_sentinels)
  if [ -n "$named" ]; then
    [ "$named" = "$NODE_HOST:$NODE_PORT" ] || echo "replicaof ${named%:*} ${named##*:}"
  elif [ -e "$1" ]; then
    grep '^replicaof ' "$1" || true
  elif [ "$role" = replica ]; then
    echo "replicaof ${PRIMARY%:*} ${PRIMARY##*:}"
  fi
}

write_server() {
  users "$SHARED_ACL" "$STACK/users.acl" >"$RUNTIME/users.acl"
  follow=$(replication "$1")
  cat >"$1.new" <<END
port $NODE_PORT
bind $NODE_BIND
dir $DATA
aclfile $RUNTIME/users.acl
replica-announce-ip $NODE_HOST
replica-announce-port $NODE_PORT
masteruser replica
masterauth ${REDIS_REPLICA_PASSWORD:?}
repl-diskless-sync-delay 0
appendonly yes
appendfsync everysec
maxmemory ${REDIS_MAXMEMORY:-256mb}
maxmemory-policy noeviction
$follow
END
  mv "$1.new" "$1"
}

write_sentinel() {
  users "$STACK/sentinel-users.acl" >"$RUNTIME/users.acl"
  decided=$(grep -E '^sentinel (myid|monitor|config-epoch|leader-epoch|current-epoch|known-)' "$1" 2>/dev/null ||
    echo "sentinel monitor $service ${PRIMARY%:*} ${PRIMARY##*:} 2")
  # Use names, not addresses: a container's address changes when it restarts.
  cat >"$1.new" <<END
port $NODE_PORT
bind $NODE_BIND
dir $DATA
aclfile $RUNTIME/users.acl
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $NODE_HOST
sentinel announce-port $NODE_PORT
sentinel sentinel-user sentinel
sentinel sentinel-pass ${REDIS_SENTINEL_PASSWORD:?}
$decided
sentinel auth-user $service sentinel
sentinel auth-pass $service $REDIS_SENTINEL_PASSWORD
sentinel down-after-milliseconds $service $down_after_ms
sentinel failover-timeout $service 10000
sentinel parallel-syncs $service 1
END
  mv "$1.new" "$1"
}

# Its data is loaded; a replica has synchronized with its primary.
server_is_well() {
  export REDISCLI_AUTH="$REDIS_EXPORTER_PASSWORD"
  case $(ask "127.0.0.1:$NODE_PORT" --user exporter INFO replication) in
    *role:master* | *master_link_status:up*) ;;
    *) return 1 ;;
  esac
}

# It could replace the primary now: it knows a replica and enough Sentinels.
sentinel_is_well() {
  case $(ask "127.0.0.1:$NODE_PORT" SENTINEL CKQUORUM "$service") in
    OK*) [ -n "$(ask "127.0.0.1:$NODE_PORT" SENTINEL REPLICAS "$service")" ] ;;
    *) return 1 ;;
  esac
}

mkdir -p "$DATA" "$RUNTIME"
case $role in
  primary | replica)
    write_server "$DATA/redis.conf"
    exec redis-server "$DATA/redis.conf"
    ;;
  sentinel)
    write_sentinel "$DATA/sentinel.conf"
    exec redis-server "$DATA/sentinel.conf" --sentinel
    ;;
  check)
    if [ -n "${REDIS_EXPORTER_PASSWORD:-}" ]; then
      server_is_well
    else
      sentinel_is_well # it has no exporter
    fi
    ;;
  *) fail "primary, replica, sentinel or check, not $role" ;;
esac
