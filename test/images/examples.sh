#!/usr/bin/env bash
# examples.sh DIRECTORY: packs the images that the pools of examples/ name, as php-worker.tar and so on: what `docker build` makes in these
# folders, but of Debian's packages.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
out=${1:?say which directory to write the archives to}

php() {
  local root program libs app
  root=$(unpacked php-cli)
  program=$(find "$root/usr/bin" -type f -name 'php[0-9]*')
  libs=$(libraries "$root" "$program")
  app=$(tree "$ROOT/examples/php" /app)
  mapfile -t libs <<<"$libs"
  mapfile -t app <<<"$app"
  pack "$out/php-worker.tar" -name php-worker:demo -entrypoint /usr/bin/php -env PATH=/usr/bin \
    "${BASE[@]}" "${libs[@]}" "$program:/usr/bin/php:755" \
    "$root/usr/share/zoneinfo/Etc/UTC:/usr/share/zoneinfo/UTC" -- "${app[@]}" # Debian's PHP has no time zones of its own, and warns
}

# The images of Python differ in their last layer only.
python() {
  local root program version modules libs files
  root=$(unpacked python3-minimal libpython3-stdlib)
  program=$(find "$root/usr/bin" -type f -name 'python3.*')
  version=$(basename "$program")
  modules=$(find "$root/usr/lib/$version/lib-dynload" -name '*.so' | sort)
  mapfile -t modules <<<"$modules"
  libs=$(libraries "$root" "$program" "${modules[@]}")
  files=$(tree "$root/usr/lib/$version" "/usr/lib/$version")
  mapfile -t libs <<<"$libs"
  mapfile -t files <<<"$files"
  files+=("${BASE[@]}" "${libs[@]}" "$program:/usr/bin/$version:755" "@$version:/usr/bin/python3")
  image() { # NAME FOLDER
    local app
    app=$(tree "$ROOT/examples/$2" /app)
    mapfile -t app <<<"$app"
    pack "$out/$1.tar" -name "$1:demo" -entrypoint /usr/bin/python3 -env PATH=/usr/bin -env PYTHONUNBUFFERED=1 -env PYTHONDONTWRITEBYTECODE=1 \
      "${files[@]}" -- "${app[@]}"
  }
  image python-worker python
  image http-worker http
}

shell() {
  local b t links=()
  b=$(busybox)
  for t in sh cat head mktemp printf rev rm sed sleep tr wc; do links+=("@busybox:/bin/$t"); done
  pack "$out/shell-worker.tar" -name shell-worker:demo -entrypoint /bin/sh -env PATH=/bin "${BASE[@]}" "$b:/bin/busybox:755" "${links[@]}"
}

php
python
shell
