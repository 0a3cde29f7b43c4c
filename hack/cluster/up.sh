#!/usr/bin/env bash
# Brings up the cluster that CLUSTER names (see target.sh), building what is missing. Where it is up already, this is a no-op.
#
# The local cluster is a real one-node Kubernetes in namespaces of its own (mount, network, process, host name): etcd, API server,
# controller manager, scheduler, containerd with runc and a bridge network, kubelet, kube-proxy, CoreDNS. It writes nothing outside
# $CACHE/cluster/run and one cgroup, no route leads out of it, and down.sh leaves nothing behind.
# shellcheck disable=SC2034 # render takes variables by their names
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$HERE/local.sh"
source "$HERE/pki.sh"

# render TEMPLATE NAME...: prints it with ${NAME} replaced by the variable of that name.
render() {
  local template=$1 script=()
  shift
  for name in "$@"; do script+=(-e "s#\${$name}#${!name}#g"); done
  sed "${script[@]}" "$HERE/config/$template"
}

kubeconfig() { # USER SERVER
  local SERVER=$2 CA_DATA CERT_DATA KEY_DATA
  CA_DATA=$(base64 -w 0 <"$RUN/pki/ca.crt")
  CERT_DATA=$(base64 -w 0 <"$RUN/pki/$1.crt")
  KEY_DATA=$(base64 -w 0 <"$RUN/pki/$1.key")
  render kubeconfig SERVER CA_DATA CERT_DATA KEY_DATA
}

free_port() { # the first from 16443 on that nothing listens to
  local port=16443
  while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo $port
}

# The network programs of the kernel that kube-proxy can use here.
proxy_mode() { if unshare --net nft add table ip probe 2>/dev/null; then echo nftables; else echo iptables; fi; }

# containerd's usual way to stack layers does not work on every file system.
snapshotter() {
  local d=$RUN/overlay
  mkdir -p "$d"/{lower,upper,work,merged}
  if unshare --mount mount -t overlay overlay -o "lowerdir=$d/lower,upperdir=$d/upper,workdir=$d/work" "$d/merged" 2>/dev/null
  then echo overlayfs; else echo native; fi
  rm -rf "$d"
}

make_cgroup() {
  local root=/sys/fs/cgroup c f
  if [ -e $root/cgroup.controllers ]; then # version 2
    mkdir -p "$root/$CGROUP"
    for c in cpuset cpu io memory pids hugetlb; do
      grep -qw "$c" $root/cgroup.controllers || continue
      for f in $root "$root/$CGROUP"; do echo "+$c" >"$f/cgroup.subtree_control" || say "warning: cgroup controller $c can't be switched on in $f"; done
    done
    return
  fi
  for c in cpu cpuacct cpuset memory pids devices freezer blkio systemd; do
    [ ! -d "$root/$c" ] || mkdir -p "$root/$c/$CGROUP"
  done
  if [ -d "$root/cpuset" ]; then
    for f in cpuset.cpus cpuset.mems; do cat "$root/cpuset/$f" >"$root/cpuset/$CGROUP/$f"; done
  fi
}

configure() {
  local SNAPSHOTTER PROXY_MODE
  SNAPSHOTTER=$(snapshotter)
  PROXY_MODE=$(proxy_mode)
  (cd "$RUN/pki" && make_pki) >"$RUN/log/pki.log" 2>&1 || die "making the certificates failed: see $RUN/log/pki.log"
  local user
  for user in kube-controller-manager kube-scheduler kube-proxy kubelet admin; do
    kubeconfig $user "https://$NODE_IP:6443" >"$RUN/$user.kubeconfig"
  done
  render containerd.toml RUN SNAPSHOTTER RUNC CNI_BIN >"$RUN/containerd.toml"
  render 10-bridge.conflist RUN POD_CIDR >"$RUN/cni/10-bridge.conflist"
  render kubelet.yaml RUN CGROUP NODE_IP DNS_IP >"$RUN/kubelet.yaml"
  render kube-proxy.yaml RUN PROXY_MODE POD_CIDR NODE NODE_IP >"$RUN/kube-proxy.yaml"
  render dns.yaml DNS_IP >"$RUN/dns.yaml"
}

start() {
  local port
  port=$(free_port)
  # 9>&-: the lock must end with this script.
  setsid unshare --mount --net --pid --uts --ipc --fork --kill-child --mount-proc --propagation private \
    "$HERE/node.sh" >"$RUN/log/node.log" 2>&1 </dev/null 9>&- &
  remember sandbox $!
  (cd "$RUN" && exec setsid socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" UNIX-CONNECT:api.sock) >"$RUN/log/relay-host.log" 2>&1 </dev/null 9>&- &
  remember relay $!
  kubeconfig admin "https://127.0.0.1:$port" >"$KUBECONFIG_LOCAL.new"
  mv "$KUBECONFIG_LOCAL.new" "$KUBECONFIG_LOCAL"
}

kubectl() { "$BIN/kubectl" --kubeconfig "$KUBECONFIG_LOCAL" "$@"; }
node_ready() { kubectl get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -q True; }
default_account() { kubectl -n default get serviceaccount default; }
dns_ready() { kubectl -n kube-system rollout status deployment/coredns --timeout=1s; }

step() { # SECONDS WHAT COMMAND...
  local limit=$1 what=$2
  shift 2
  if ! wait_for "$limit" "$@"; then
    say "$what: not within $limit s. The ends of the logs in $RUN/log:"
    tail -n 5 "$RUN"/log/*.log >&2
    die "the cluster did not come up; $HERE/down.sh removes what is left"
  fi
  say "  $(since "$T0") s  $what"
}

up_local() {
  if healthy; then
    say "the local cluster is up"
    return
  fi
  T0=$(now)
  "$HERE/down.sh" --quiet # what a cluster that died has left
  case $RUN/ in /run/* | /var/lib/* | /var/log/*) die "CACHE=$CACHE: the cluster hides /run, /var/lib and /var/log from itself; choose another folder" ;; esac
  mkdir -p "$RUN"/{pki,log,cni}
  chmod 700 "$RUN"
  trap '"$HERE/down.sh" --quiet; exit 130' INT TERM
  make_cgroup
  configure
  say "  $(since "$T0") s  certificates and configuration written"
  start
  step 60 "API server ready" healthy
  step 60 "node ready" node_ready
  step 60 "default service account created" default_account
  step 90 "cluster DNS ready" dns_ready
  trap - INT TERM
}

main() {
  local target clusters
  target=$("$HERE/target.sh" name)
  case $target in
    local)
      "$HERE/build.sh" control-plane node
      BIN=$("$HERE/build.sh" assets)
      IMAGES=$("$HERE/build.sh" images | tr '\n' ' ')
      export BIN IMAGES
      with_lock cluster up_local
      ;;
    kind)
      KUBECONFIG=$("$HERE/target.sh" kubeconfig)
      export KUBECONFIG
      mkdir -p "$(dirname "$KUBECONFIG")"
      clusters=$(kind get clusters)
      if grep -qx "$KIND_NAME" <<<"$clusters"; then
        # Each time: the kubeconfig may be of a cluster that was here before, or another checkout may have made this one.
        kind export kubeconfig --name "$KIND_NAME" --kubeconfig "$KUBECONFIG"
      else
        kind create cluster --name "$KIND_NAME" --kubeconfig "$KUBECONFIG" --wait 120s
      fi
      ;;
    current) ;;
  esac
  "$HERE/target.sh" hint
}
main "$@"
