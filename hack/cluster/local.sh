# shellcheck shell=bash
# The names and addresses of the local cluster, and how to find its processes. Sourced after lib.sh.

RUN=$CACHE/cluster/run
# Two caches are two clusters that don't meet: what is named machine-wide carries a hash of the folder.
CGROUP=gearman-cluster-$(printf %s "$RUN" | sha256sum | cut -c 1-8)
NODE=node1
# All inside the cluster's own network namespace, which no route leaves: they can't clash with the machine's networks.
NODE_IP=172.30.0.1
SERVICE_CIDR=10.96.0.0/16
SERVICE_IP=10.96.0.1
DNS_IP=10.96.0.10
POD_CIDR=10.244.0.0/24
RUNC=${RUNC:-$(command -v runc || echo runc)}
CNI_BIN=${CNI_BIN:-/usr/lib/cni}
KUBECONFIG_LOCAL=$RUN/kubeconfig
export RUN CGROUP NODE NODE_IP SERVICE_CIDR SERVICE_IP DNS_IP POD_CIDR RUNC CNI_BIN KUBECONFIG_LOCAL

# A process is known by its id and its start time: after a reboot the id may be somebody else's.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
remember() { echo "$2 $(start_time "$2")" >"$RUN/$1.pid"; } # NAME PID
# pid_of NAME: prints the id of a remembered process that still runs.
pid_of() {
  local pid started
  read -r pid started 2>/dev/null <"$RUN/$1.pid" || return 1
  [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

# node_pid: the process 1 of the cluster's namespaces, as this machine counts.
node_pid() {
  local pid
  pid=$(pid_of sandbox) || return 1
  pgrep -P "$pid" | head -n 1 | grep .
}

inside() { nsenter -t "$(node_pid)" -m -n -p "$@"; }

healthy() {
  local server
  pid_of sandbox >/dev/null && pid_of relay >/dev/null && server=$(sed -n 's/.*server: "\([^"]*\)".*/\1/p' "$KUBECONFIG_LOCAL" 2>/dev/null) || return 1
  [ "$(curl -s -m 5 --cacert "$RUN/pki/ca.crt" --cert "$RUN/pki/admin.crt" --key "$RUN/pki/admin.key" "$server/readyz")" = ok ]
}

# What of this machine would stop the local cluster; prints nothing where all is well.
local_obstacle() {
  [ "$(uname -s)" = Linux ] || { echo "it needs Linux"; return; }
  [ "$(id -u)" = 0 ] || { echo "it needs root (namespaces, mounts and cgroups)"; return; }
  unshare --mount --net --pid --uts --ipc --fork true 2>/dev/null || { echo "this environment may not create namespaces"; return; }
  local dir=/sys/fs/cgroup
  [ -e $dir/cgroup.controllers ] || dir=/sys/fs/cgroup/memory
  [ ! -d "$dir/$CGROUP" ] || return 0 # it is up already
  mkdir "$dir/$CGROUP" 2>/dev/null || { echo "$dir is not writable"; return; }
  rmdir "$dir/$CGROUP"
}
