#!/usr/bin/env bash
# load-image.sh ARCHIVE...: makes the images of OCI or Docker archives known to the cluster that CLUSTER names.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$HERE/local.sh"

[ $# -gt 0 ] || die "usage: load-image.sh ARCHIVE..."
for archive in "$@"; do [ -f "$archive" ] || die "no such file: $archive"; done

load() { # ARCHIVE
  local context
  case $("$HERE/target.sh" name) in
    local)
      pid_of sandbox >/dev/null || die "the local cluster is not up: make cluster-up"
      # By standard input, since the node does not see all of this machine's folders.
      inside ctr -a /run/containerd/containerd.sock -n k8s.io images import - <"$1"
      ;;
    kind) kind load image-archive --name "$KIND_NAME" "$1" ;;
    current)
      context=$(kubectl config current-context)
      case $context in
        kind-*) kind load image-archive --name "${context#kind-}" "$1" ;;
        minikube) minikube image load "$1" ;;
        k3d-*) k3d image import --cluster "${context#k3d-}" "$1" ;;
        *) say "images can't be loaded into the context $context: assuming that its nodes have $(basename "$1"), or can pull it from where you pushed it (IMAGE)" ;;
      esac
      ;;
  esac
}

for archive in "$@"; do load "$archive"; done
