#!/usr/bin/env bash
# Runs the packer of this folder from its own module: its dependencies never reach the project's go.mod.
# Relative paths in the arguments are relative to where it is called.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gearman-operator}
key=$(cat "$HERE"/go.mod "$HERE"/go.sum "$HERE"/*.go "$HERE"/oci/*.go "$HERE"/registry/*.go | sha256sum)
bin=$CACHE/tools/image-${key:0:16}
if [ ! -x "$bin" ]; then
  mkdir -p "$CACHE/tools"
  (cd "$HERE" && CGO_ENABLED=0 GOWORK=off GOOS='' GOARCH='' go build -trimpath -buildvcs=false -o "$bin.$$" .)
  mv "$bin.$$" "$bin"
fi
exec "$bin" "$@"
