#!/usr/bin/env bash
# Builds the image twice, in this tree and in a copy of it elsewhere under another umask, and fails where the two archives differ.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export IMAGE=${IMAGE:-gearman-operator:check} VERSION=${VERSION:-check} SOURCE_DATE_EPOCH=1000000000
ARCHES=${ARCHES:-$(go env GOARCH)}
export ARCHES
mkdir "$tmp/here" "$tmp/there" "$tmp/copy"
(umask 077 && cd "$ROOT" && git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x --no-same-permissions -C "$tmp/copy")
"$ROOT/hack/image/build.sh" "$tmp/here/image.tar"
"$tmp/copy/hack/image/build.sh" "$tmp/there/image.tar"
cmp "$tmp/here/image.tar" "$tmp/there/image.tar" || { echo "error: two builds of one source differ" >&2; exit 1; }
echo "two builds of one source are the same, to the byte"
