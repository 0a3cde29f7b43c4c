#!/usr/bin/env bash
# gearmand.sh ARCHIVE: packs Debian's gearmand and gearadmin, with the shared libraries that they load, into an image FROM scratch.
# The packages are taken from this machine where they are installed; else they are fetched and unpacked into the cache, since
# installing them would start a job server here.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gearman-operator}
archive=${1:?name the archive to write}
packages=(gearman-job-server gearman-tools)
PATH=/usr/sbin:/usr/local/sbin:$PATH # before /usr/bin, where Perl's server has the same name
die() { echo "error: $*" >&2; exit 1; }

# fetch: prints a folder with the packages, and the libraries that this machine lacks, unpacked.
fetch() {
  local dir=$CACHE/debian/gearmand
  if [ ! -e "$dir/done" ]; then
    command -v apt-get >/dev/null || die "please install ${packages[*]} (this machine has no apt-get)"
    echo "fetching ${packages[*]} ..." >&2
    rm -rf "$dir"
    mkdir -p "$dir/archives/partial"
    download() { apt-get -qq -o Dir::Cache::archives="$dir/archives" install --download-only -y --no-install-recommends "${packages[@]}" >&2; }
    download || { apt-get -qq update >&2 && download; } || die "fetching ${packages[*]} failed"
    local deb
    for deb in "$dir"/archives/*.deb; do dpkg -x "$deb" "$dir/root"; done
    touch "$dir/done"
  fi
  echo "$dir/root"
}

base=
command -v gearmand >/dev/null && command -v gearadmin >/dev/null || base=$(fetch)
gearmand=$base/usr/sbin/gearmand gearadmin=$base/usr/bin/gearadmin
[ -n "$base" ] || { gearmand=$(command -v gearmand) && gearadmin=$(command -v gearadmin); }

libraries() { LD_LIBRARY_PATH=$(find "$base/usr/lib" "$base/lib" -maxdepth 1 -name '*-linux-gnu*' 2>/dev/null | paste -sd:) ldd "$gearmand" "$gearadmin"; }
missing=$(libraries | awk '/not found/ { print $1 }' | sort -u | tr '\n' ' ')
[ -z "$missing" ] || die "gearmand needs libraries that this machine lacks: $missing"
files=()
# Every library goes where the dynamic linker looks by itself; the linker stays where the programs name it.
while read -r library; do
  case $(basename "$library") in
    ld-linux*) files+=("$(realpath "$library"):$library") ;;
    *) files+=("$(realpath "$library"):/usr/lib/$(basename "$library")") ;;
  esac
done < <(libraries | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && NF == 2 { print $1 }' | sort -u)

mkdir -p "$(dirname "$archive")"
"$ROOT/hack/image/pack.sh" -output "$archive" -name gearmand:demo -entrypoint /usr/sbin/gearmand -env PATH=/usr/sbin:/usr/bin \
  "$ROOT/hack/image/etc/passwd:/etc/passwd" "$ROOT/hack/image/etc/group:/etc/group" :/tmp:1777 "${files[@]}" -- \
  "$gearmand:/usr/sbin/gearmand:755" "$gearadmin:/usr/bin/gearadmin:755"
