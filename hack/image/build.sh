#!/usr/bin/env bash
# Builds the project's image as an OCI archive, without Docker and without a registry: /manager and /gearman-worker as static
# binaries, the certificate authorities, a user, /tmp. Two builds of one source give one digest, on any machine.
#
#   build.sh ARCHIVE      with IMAGE (name:tag), VERSION and ARCHES (default: amd64,arm64) in the environment
#   build.sh --tree DIR   writes the image's files below DIR instead, for the Dockerfile; ARCHES is one architecture
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
if [ "${1-}" = --tree ]; then
  tree=${2:?say below which folder}
  to=(-tree "$tree")
  bin=$(mktemp -d)
  trap 'rm -rf "$bin"' EXIT
  IMAGE=none:none # it has no name before Docker gives it one
else
  archive=${1:?name the archive to write}
  to=(-output "$archive")
  bin=$(dirname "$archive")/bin
fi
: "${IMAGE:?set IMAGE to name:tag}" "${VERSION:?set VERSION}" "${ARCHES:=amd64,arm64}"
MODULE=github.com/gearman-operator/gearman-operator

cd "$ROOT"
# The image is dated by its source, not by the clock.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
mkdir -p "$bin"
ldflags="-s -w -X $MODULE/internal/version.Version=$VERSION"
for arch in ${ARCHES//,/ }; do
  for program in manager worker; do
    CGO_ENABLED=0 GOOS=linux GOARCH=$arch GOWORK="$ROOT/go.work" go build -trimpath -buildvcs=false -ldflags "$ldflags" -o "$bin/$arch/$program" "./cmd/$program"
  done
done

"$HERE/pack.sh" "${to[@]}" -name "$IMAGE" -arch "$ARCHES" -entrypoint /manager -roots /etc/ssl/certs/ca-certificates.crt \
  -label org.opencontainers.image.title=gearman-operator \
  -label org.opencontainers.image.description="Scales Gearman workers on Kubernetes by their backlog" \
  -label org.opencontainers.image.licenses=Apache-2.0 \
  -label org.opencontainers.image.source="https://$MODULE" \
  -label org.opencontainers.image.version="$VERSION" \
  "$HERE/etc/passwd:/etc/passwd" "$HERE/etc/group:/etc/group" :/tmp:1777 -- \
  "$bin/{arch}/worker:/gearman-worker:755" -- "$bin/{arch}/manager:/manager:755"
