#!/usr/bin/env bash
# Takes down the cluster that CLUSTER names and removes all that up.sh made, whatever state it is in. The built parts stay in the cache.
# It leaves the user's own cluster (CLUSTER=current) alone.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$HERE/local.sh"

ended() { ! pid_of "$1"; }
stop() { # NAME SIGNAL
  local pid
  pid=$(pid_of "$1") || return 0
  kill "-$2" "$pid" 2>/dev/null || return 0
  wait_for 10 ended "$1" || die "process $pid ($1) does not end"
}

remove_cgroup() {
  local d left
  for d in /sys/fs/cgroup/"$CGROUP" /sys/fs/cgroup/*/"$CGROUP"; do
    [ -d "$d" ] || continue
    # The kernel takes a moment to let go of the ended processes.
    for _ in $(seq 50); do
      find "$d" -depth -type d -exec rmdir {} + 2>/dev/null && break
      left=$d
      sleep 0.1
    done
    [ ! -d "$d" ] || say "warning: ${left:-$d} could not be removed"
  done
}

down_local() {
  local node
  node=$(node_pid || true)
  stop relay TERM
  stop sandbox KILL # takes every process of its namespace with it, and those take mounts and networks
  if [ -n "$node" ]; then wait_for 10 test ! -e "/proc/$node" || die "process $node does not end"; fi
  remove_cgroup
  rm -rf --one-file-system "$RUN"
}

case ${1-} in
  --quiet) down_local ;; # from up.sh, which holds the lock
  *)
    T0=$(now)
    case $("$HERE/target.sh" name) in
      local)
        with_lock cluster down_local
        say "the local cluster is gone ($(since "$T0") s); what was built stays in $CACHE"
        ;;
      kind) kind delete cluster --name "$KIND_NAME" --kubeconfig "$("$HERE/target.sh" kubeconfig)" ;;
      current) say "CLUSTER=current: this is your own cluster, so nothing is taken down" ;;
    esac
    ;;
esac
