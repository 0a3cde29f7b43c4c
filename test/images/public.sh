#!/usr/bin/env bash
# public.sh DIRECTORY IMAGE...: packs stand-ins for public images that examples/ name, under the names of these images and of what the
# examples use of them, and prints the paths of the archives. The local cluster can't pull: no network leads from its node.
#
# Node.js is npm's, since Debian's is older than what runs TypeScript; all else is of Debian's packages.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
source "$HERE/languages.sh"
out=${1:?name the directory to write the archives to}
shift

NODE_VERSION=24.22.3

# node_program: prints the path of Node.js, from npm.
node_program() {
  local dir=$CACHE/node-$NODE_VERSION arch tmp
  case $(dpkg --print-architecture) in
    amd64) arch=x64 ;;
    arm64) arch=arm64 ;;
    *) die "npm has no Node.js for $(dpkg --print-architecture)" ;;
  esac
  if [ ! -x "$dir/package/bin/node" ]; then
    command -v npm >/dev/null || die "please install npm: the image of Node.js is made of npm's node-linux-$arch"
    echo "fetching node-linux-$arch@$NODE_VERSION ..." >&2
    tmp=$dir.$$
    mkdir -p "$tmp"
    (cd "$tmp" && npm pack --silent "node-linux-$arch@$NODE_VERSION" >/dev/null && tar xzf ./*.tgz && rm ./*.tgz) >&2 ||
      die "fetching node-linux-$arch@$NODE_VERSION from npm failed"
    rm -rf "$dir"
    mv "$tmp" "$dir"
  fi
  echo "$dir/package/bin/node"
}

# image NAME FILE...: packs an image and prints its archive.
image() {
  local name=$1 archive files
  shift
  archive=$out/public-${name//[:\/]/-}.tar
  pack "$archive" -name "$name" -env PATH=/usr/bin:/bin "$@" >&2
  echo "$archive"
}

for name; do
  case $name in
    busybox:*) files=$(busybox_files sh cat wc) ;;
    php:*) files=$(php_files) ;;
    python:*) files=$(python_files) ;;
    node:*)
      program=$(node_program)
      libs=$(libraries "$(unpacked libstdc++6 libgcc-s1)" "$program")
      files=$(printf '%s\n' "${BASE[@]}" "$libs" "$program:/usr/bin/node:755")
      ;;
    buildpack-deps:*) # of it the example uses ImageMagick only
      root=$(unpacked imagemagick-6.q16)
      program=$(find "$root/usr/bin" -name 'convert-im6.q16')
      coders=$(find "$root/usr/lib" -path '*/coders/*' \( -name png.so -o -name jpeg.so -o -name pnm.so \))
      mapfile -t coders <<<"$coders"
      libs=$(libraries "$root" "$program" "${coders[@]}")
      config=$(find "$root/etc/ImageMagick-6" "$(dirname "${coders[0]}")" -type f ! -name '*.so')
      files=$(
        printf '%s\n' "${BASE[@]}" "$libs" "$program:/usr/bin/convert:755"
        while read -r file; do echo "$file:${file#"$root"}"; done < <(printf '%s\n' "${coders[@]}" "$config")
      )
      ;;
    *) die "no stand-in is known for the image $name" ;;
  esac
  mapfile -t files <<<"$files"
  image "$name" "${files[@]}"
done
