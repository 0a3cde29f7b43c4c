#!/usr/bin/env bash
# Builds what the local cluster is made of, once, into the cache, and reuses it from then on.
#
#   build.sh control-plane   kube-apiserver, etcd, kubectl (and the rest of Kubernetes): enough for tests against an API server
#   build.sh node            what pods need besides: CoreDNS, the pause and DNS images, Debian's containerd, runc and CNI plugins
#   build.sh assets          prints the control plane's directory (KUBEBUILDER_ASSETS) and builds nothing
#   build.sh images          prints the archives of the node's own images and builds nothing
#
# A built part is kept under a key of its sources, its go.sum, the Go version and the flags: any change builds anew, everything
# else is a no-op. It is built beside its place and renamed into it, so that an interrupted build leaves nothing half-made.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

KUBERNETES=v1.37.2
COREDNS=v1.15.0
PAUSE=1.0
VERSION_PACKAGE=k8s.io/component-base/version
HYPER_LDFLAGS="-s -w -X $VERSION_PACKAGE.gitVersion=$KUBERNETES -X $VERSION_PACKAGE.gitMajor=1 -X $VERSION_PACKAGE.gitMinor=37"
PLAIN_LDFLAGS="-s -w"
PACKAGES=(containerd runc containernetworking-plugins socat iproute2 nftables iptables conntrack openssl curl procps util-linux)

# part MODULE LDFLAGS: prints the directory in the cache that this module's binary belongs in.
part() {
  local key
  key=$(cd "$HERE/$1" && { cat go.mod main.go; [ ! -e go.sum ] || cat go.sum; echo "$2" "$(go env GOVERSION GOARCH)"; } | sha256sum)
  echo "$CACHE/cluster/$1-${key:0:16}"
}

compile() { # MODULE LDFLAGS OUTPUT
  cd "$HERE/$1"
  CGO_ENABLED=0 GOOS=linux GOWORK=off GOFLAGS='-mod=readonly -buildvcs=false' go build -v -trimpath -ldflags "$2" -o "$3" .
}

# build MODULE LDFLAGS EXPECTED [NAME...]: the binary, and the names that it is also called by.
build() {
  local module=$1 ldflags=$2 expected=$3 dir
  shift 3
  dir=$(part "$module" "$ldflags")
  [ ! -x "$dir/$module" ] || return 0
  local tmp=$dir.$$
  mkdir -p "$tmp"
  with_progress "building $module" "$expected" compile "$module" "$ldflags" "$tmp/$module"
  for name in "$@"; do ln -s "$module" "$tmp/$name"; done
  rm -rf "$dir"
  mv "$tmp" "$dir"
}

control_plane() {
  build hyper "$HYPER_LDFLAGS" "6 to 18 minutes" etcd kubectl kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # RUNLEVEL=1: start no service
  apt-get install -y --no-install-recommends "$@" || { apt-get update && apt-get install -y --no-install-recommends "$@"; }
}

# debian installs only what is missing, and starts no service: our containerd is a process of its own, apart from any of the machine's.
debian() {
  local missing=()
  for p in "${PACKAGES[@]}"; do
    case $p in
      containernetworking-plugins) [ -x "${CNI_BIN:-/usr/lib/cni}/bridge" ] || missing+=("$p") ;;
      iproute2) have ip || missing+=("$p") ;;
      nftables) have nft || missing+=("$p") ;;
      procps) have sysctl || missing+=("$p") ;;
      util-linux) have unshare || missing+=("$p") ;;
      *) have "$p" || missing+=("$p") ;;
    esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  have apt-get || die "please install ${missing[*]} (this machine has no apt-get), or use CLUSTER=kind"
  with_progress "installing ${missing[*]}" "20 s" apt_install "${missing[@]}"
}

# image NAME TAG MODULE LDFLAGS: packs the module's binary FROM scratch.
image() {
  local name=$1 tag=$2 dir
  dir=$(part "$3" "$4")
  [ ! -e "$dir/image.tar" ] || return 0
  "$ROOT/hack/image/pack.sh" -output "$dir/image.tar.$$" -name "registry.local/$name:$tag" -user 0:0 -entrypoint "/$3" "$dir/$3:/$3"
  mv "$dir/image.tar.$$" "$dir/image.tar"
}

node() {
  debian
  build coredns "$PLAIN_LDFLAGS" "1 to 3 minutes"
  build pause "$PLAIN_LDFLAGS" "5 s"
  image pause "$PAUSE" pause "$PLAIN_LDFLAGS"
  image coredns "$COREDNS" coredns "$PLAIN_LDFLAGS"
}

main() {
  [ $# -gt 0 ] || die "name one of: control-plane, node, assets, images"
  have go || die "no go on PATH: install Go 1.26 or later (https://go.dev/dl)"
  for what in "$@"; do
    case $what in
      control-plane) with_lock build-control-plane control_plane ;;
      node) with_lock build-node node ;;
      assets) part hyper "$HYPER_LDFLAGS" ;;
      images) for m in pause coredns; do echo "$(part $m "$PLAIN_LDFLAGS")/image.tar"; done ;;
      *) die "unknown part $what: use control-plane, node, assets or images" ;;
    esac
  done
}
main "$@"
