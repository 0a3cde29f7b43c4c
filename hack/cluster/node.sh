#!/usr/bin/env bash
# Process 1 of the cluster's namespaces: prepares the node and runs its components. Everything ends when this ends.
# Started by up.sh only, with its variables in the environment.
set -euo pipefail
LOG=$RUN/log
PKI=$RUN/pki
API=https://$NODE_IP:6443
CRI=/run/containerd/containerd.sock

# --- the node, as its components see it -------------------------------------------------------------------------------
hostname "$NODE"
mount --make-rshared /
# Folders that the components write to by fixed names: theirs are apart from the machine's.
mount -t tmpfs tmpfs /run
mkdir -p "$RUN"/{varlib,varlog}
mount --bind "$RUN/varlib" /var/lib
mount --bind "$RUN/varlog" /var/log
mkdir -p /run/containerd /run/netns /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers "$RUN/kubelet"
mount --bind "$RUN/kubelet" "$RUN/kubelet"
mount --make-rshared "$RUN/kubelet"
# The kubelet insists on these settings of the kernel, which are the whole machine's. It is shown files instead that say so.
mkdir -p "$RUN/sysctl"
pretend() {
  echo "$2" >"$RUN/sysctl/$1"
  mount --bind "$RUN/sysctl/$1" "/proc/sys/${1//.//}"
}
pretend vm.overcommit_memory 1
pretend vm.panic_on_oom 0
pretend kernel.panic 10
pretend kernel.panic_on_oops 1
ip link set lo up
ip link add node0 type bridge
ip addr replace "$NODE_IP/24" dev node0
ip link set node0 up
# The kubelet and kube-proxy want a default route. It leads to a bridge without ports: nothing leaves the cluster.
ip route replace default dev node0
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true # absent where the bridge module filters nothing
ulimit -n "$(ulimit -Hn)"

# --- its components ----------------------------------------------------------------------------------------------------
# keep NAME COMMAND...: runs it, and again where it ends.
keep() {
  local name=$1
  shift
  while :; do
    "$@" >>"$LOG/$name.log" 2>&1 || true
    echo "$(date +%T) $name ended; starting it again" >>"$LOG/node.log"
    sleep 1
  done
}

until_ok() { # COMMAND...: up to a minute
  for _ in $(seq 600); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "$(date +%T) no success within a minute: $*" >>"$LOG/node.log"
}

# Data is not worth an fsync: the cluster is gone when the machine is.
keep etcd "$BIN/etcd" --data-dir="$RUN/etcd" --unsafe-no-fsync --log-level=warn \
  --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
  --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 --initial-cluster=default=http://127.0.0.1:2380 &
keep containerd containerd -c "$RUN/containerd.toml" &
keep kube-apiserver "$BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --advertise-address="$NODE_IP" \
  --service-cluster-ip-range="$SERVICE_CIDR" --client-ca-file="$PKI/ca.crt" \
  --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
  --kubelet-client-certificate="$PKI/apiserver-kubelet.crt" --kubelet-client-key="$PKI/apiserver-kubelet.key" \
  --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
  --requestheader-client-ca-file="$PKI/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
  --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
  --proxy-client-cert-file="$PKI/front-proxy.crt" --proxy-client-key-file="$PKI/front-proxy.key" \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true --enable-aggregator-routing=true &
# The way in from the machine: a socket file, since no network leads here.
cd "$RUN"
keep relay socat UNIX-LISTEN:api.sock,fork,unlink-early "TCP:$NODE_IP:6443" &

api_ready() { [ "$(curl -s -m 2 --cacert "$PKI/ca.crt" --cert "$PKI/admin.crt" --key "$PKI/admin.key" "$API/readyz")" = ok ]; }
until_ok api_ready
# Only now: before its first rules exist, a controller manager is refused and ends.
keep kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig="$RUN/kube-controller-manager.kubeconfig" \
  --authentication-kubeconfig="$RUN/kube-controller-manager.kubeconfig" --authorization-kubeconfig="$RUN/kube-controller-manager.kubeconfig" \
  --use-service-account-credentials=true --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" \
  --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" --kube-api-qps=200 --kube-api-burst=400 \
  --leader-elect=false --bind-address=127.0.0.1 --cluster-cidr="$POD_CIDR" --service-cluster-ip-range="$SERVICE_CIDR" &
keep kube-scheduler "$BIN/kube-scheduler" --kubeconfig="$RUN/kube-scheduler.kubeconfig" \
  --authentication-kubeconfig="$RUN/kube-scheduler.kubeconfig" --authorization-kubeconfig="$RUN/kube-scheduler.kubeconfig" \
  --leader-elect=false --bind-address=127.0.0.1 &
until_ok ctr -a "$CRI" version
for archive in $IMAGES; do ctr -a "$CRI" -n k8s.io images import "$archive" >>"$LOG/import.log" 2>&1; done
keep kubelet "$BIN/kubelet" --config="$RUN/kubelet.yaml" --kubeconfig="$RUN/kubelet.kubeconfig" --root-dir="$RUN/kubelet" \
  --hostname-override="$NODE" --node-ip="$NODE_IP" &
keep kube-proxy "$BIN/kube-proxy" --config="$RUN/kube-proxy.yaml" &
KUBECONFIG=$RUN/admin.kubeconfig until_ok "$BIN/kubectl" apply -f "$RUN/dns.yaml"
trap 'exit 0' TERM
while :; do
  sleep 3600 &
  wait $! || true
done
