#!/usr/bin/env bash
# enter.sh COMMAND...: runs a command in the network and the file system of the local cluster's node (enter.sh curl http://10.96.0.1:80).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$HERE/local.sh"
pid_of sandbox >/dev/null || die "the local cluster is not up: make cluster-up"
inside "${@:-bash}"
