#!/usr/bin/env bash
# Which cluster the commands of this project work on, as CLUSTER says:
#
#   local     the one that up.sh makes on this machine
#   kind      a kind cluster of our own name
#   current   the current context of your KUBECONFIG; only where you ask for it by name
#   (unset)   local where this machine can run it, else kind where that is installed. Your own contexts are never touched.
#
#   target.sh name         prints local, kind or current
#   target.sh kubeconfig   prints the path of its kubeconfig
#   target.sh hint         says how to use it
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$HERE/local.sh"

name() {
  local obstacle
  case ${CLUSTER-} in
    local)
      obstacle=$(local_obstacle)
      [ -z "$obstacle" ] || die "CLUSTER=local does not work here: $obstacle"
      echo local
      ;;
    kind)
      have kind || die "CLUSTER=kind, and there is no kind on PATH: https://kind.sigs.k8s.io"
      echo kind
      ;;
    current) echo current ;;
    "")
      obstacle=$(local_obstacle)
      if [ -z "$obstacle" ]; then echo local
      elif have kind; then echo kind
      else die "no cluster to work on: the local one does not work here ($obstacle), and kind is not installed. Run as root, install kind, or set CLUSTER=current to use the current context of your kubeconfig"
      fi
      ;;
    *) die "CLUSTER=$CLUSTER: use local, kind or current" ;;
  esac
}

kubeconfig() {
  case $(name) in
    local) echo "$KUBECONFIG_LOCAL" ;;
    kind) echo "$CACHE/cluster/kind.kubeconfig" ;;
    current) echo "${KUBECONFIG:-$HOME/.kube/config}" ;;
  esac
}

hint() {
  case $(name) in
    current) say "CLUSTER=current: using the current context of $(kubeconfig)" ;;
    local)
      echo "export KUBECONFIG=$(kubeconfig)"
      have kubectl || echo "alias kubectl=$("$HERE/build.sh" assets)/kubectl"
      ;;
    kind) echo "export KUBECONFIG=$(kubeconfig)" ;;
  esac
}

case ${1-} in
  name | kubeconfig | hint) "$1" ;;
  *) die "name one of: name, kubeconfig, hint" ;;
esac
