#!/usr/bin/env bash
# Builds the image by the Dockerfile, with buildah or Docker, and compares it with the one of build.sh: each file with its digest, mode and owner,
# and what a container starts with. Both want the same Go version: the build image is that of this machine's, unless GO_IMAGE is set.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$ROOT"
arch=$(go env GOARCH)
version=$(go env GOVERSION)
export VERSION=${VERSION:-check}
args=(--build-arg "GO_IMAGE=${GO_IMAGE:-docker.io/library/golang:${version#go}}" --build-arg "VERSION=$VERSION" --build-arg "TARGETARCH=$arch")
name=localhost/gearman-operator-check:$$
if command -v buildah >/dev/null; then
  # BUILDAH_FLAGS are for machines where its defaults don't work, such as: --isolation chroot --pull-never
  read -ra flags <<<"${BUILDAH_FLAGS-}"
  trap 'buildah rmi --force "$name" >/dev/null 2>&1 || true; rm -rf "$tmp"' EXIT
  buildah bud "${flags[@]}" "${args[@]}" --tag "$name" .
  buildah push --quiet "$name" "oci-archive:$tmp/dockerfile.tar"
elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
  trap 'docker rmi --force "$name" >/dev/null 2>&1 || true; rm -rf "$tmp"' EXIT
  docker build "${args[@]}" --tag "$name" .
  docker save --output "$tmp/dockerfile.tar" "$name"
else
  echo "error: neither buildah nor a Docker daemon is available to build the Dockerfile" >&2
  exit 1
fi
IMAGE=gearman-operator:check ARCHES=$arch "$HERE/build.sh" "$tmp/own.tar"
for image in own dockerfile; do "$HERE/pack.sh" -list "$tmp/$image.tar" -arch "$arch" >"$tmp/$image.txt"; done
diff --label "make image" --label Dockerfile -u "$tmp/own.txt" "$tmp/dockerfile.txt" || {
  echo "error: the Dockerfile's image differs from that of make image" >&2
  exit 1
}
echo "the Dockerfile's image has the same files and settings as that of make image:"
cat "$tmp/own.txt"
