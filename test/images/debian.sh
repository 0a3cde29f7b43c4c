# shellcheck shell=bash
# What images are made of here: programs of Debian packages, unpacked into the cache and packed FROM scratch. Nothing is installed on this
# machine, and nothing needs root. Sourced by the scripts beside it.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gearman-operator}
BASE=("$ROOT/hack/image/etc/passwd:/etc/passwd" "$ROOT/hack/image/etc/group:/etc/group" :/tmp:1777) # what every image has
die() { echo "error: $*" >&2; exit 1; }

# unpacked PACKAGE...: prints a folder with the packages and all that they depend on, whatever this machine has installed.
unpacked() {
  local dir key deb
  key=$({ echo "$@"; dpkg --print-architecture; sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; cat "$HERE/debian.sh"; } | sha256sum) ||
    die "please run this on Debian or Ubuntu: it takes $* from their packages"
  dir=$CACHE/debian/$1-${key:0:16}
  if [ ! -e "$dir" ]; then
    command -v apt-get >/dev/null || die "please run this on Debian or Ubuntu: it takes $* from their packages"
    echo "fetching $* ..." >&2
    local tmp=$dir.$$
    rm -rf "$tmp"
    mkdir -p "$tmp/archives/partial"
    : >"$tmp/status" # as if nothing were installed
    download() {
      apt-get -qq -o Dir::State::status="$tmp/status" -o Dir::Cache="$tmp" -o Dir::Cache::archives="$tmp/archives" -o APT::Sandbox::User= \
        -o Debug::NoLocking=1 install --download-only -y --no-install-recommends "$@" >&2
    }
    download "$@" || { apt-get -qq update >&2 && download "$@"; } || die "fetching $* failed"
    mkdir "$tmp/root"
    for deb in "$tmp"/archives/*.deb; do dpkg -x "$deb" "$tmp/root"; done
    rm -rf "$dir" "$tmp/archives"
    mv "$tmp" "$dir"
  fi
  echo "$dir/root"
}

# busybox: prints the path of a static one, this machine's or one unpacked into the cache.
busybox() {
  local b root
  for b in /bin/busybox /usr/bin/busybox; do
    if [ -x "$b" ] && ! ldd "$b" >/dev/null 2>&1; then echo "$b" && return; fi
  done
  root=$(unpacked busybox-static)
  for b in "$root/bin/busybox" "$root/usr/bin/busybox"; do [ ! -x "$b" ] || { echo "$b" && return; }; done
  die "Debian's busybox-static holds no busybox"
}

# libraries ROOT PROGRAM...: prints, as arguments of pack.sh, the shared libraries that the programs of an unpacked root load, and the dynamic
# linker where the programs name it. Each library goes where the linker looks by itself.
libraries() {
  local root=$1 linker name paths
  shift
  name=$(cd "$root" && find lib64 lib -maxdepth 1 -name 'ld-linux*.so.*' 2>/dev/null | head -n 1) || true # there need not be a lib64
  [ -n "$name" ] || die "there is no dynamic linker in $root"
  linker=$(linked "$root" "/$name")
  paths=$(find "$root/usr/lib" "$root/lib" -maxdepth 1 -name '*-linux-gnu*' | paste -sd:)
  local program list missing
  list=$(for program; do "$linker" --library-path "$paths" --list "$program"; done) || die "the libraries of $* can't be listed"
  missing=$(awk '/not found/ { print $1 }' <<<"$list" | sort -u | tr '\n' ' ')
  [ -z "$missing" ] || die "libraries are missing in $root: $missing"
  awk '$2 == "=>" && $3 ~ /^\// { print $3 }' <<<"$list" | sort -u | while read -r library; do
    case $library in
      */ld-linux*) ;;
      *) echo "$(linked "$root" "${library#"$root"}"):/usr/lib/$(basename "$library")" ;;
    esac
  done
  echo "$linker:/$name:755"
}

# linked ROOT PATH: the file that a path means within an unpacked root, where a link may be absolute.
linked() {
  local file=$1$2 target
  while [ -L "$file" ]; do
    target=$(readlink "$file")
    case $target in
      /*) file=$1$target ;;
      *) file=$(dirname "$file")/$target ;;
    esac
  done
  echo "$file"
}

# tree FOLDER PATH: prints, as arguments of pack.sh, a folder's files under a path of the image.
tree() {
  (cd "$1" && find . -type f ! -path '*/__pycache__/*' ! -name Dockerfile | sort) | while read -r file; do echo "$1/${file#./}:$2/${file#./}"; done
}

# pack ARCHIVE ARGUMENT...: writes the image.
pack() {
  mkdir -p "$(dirname "$1")"
  "$ROOT/hack/image/pack.sh" -output "$@"
}
