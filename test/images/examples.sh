#!/usr/bin/env bash
# examples.sh DIRECTORY [EXAMPLE...]: packs the images that the pools of examples/ name (php, python with http, and shell, unless others are
# named: symfony, laravel), as php-worker.tar and so on: what `docker build` makes in these folders, but of Debian's packages.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
source "$HERE/languages.sh"
out=${1:?name the directory to write the archives to}
shift

php() {
  local files app
  files=$(php_files)
  app=$(tree "$ROOT/examples/php" /app)
  mapfile -t files <<<"$files"
  mapfile -t app <<<"$app"
  pack "$out/php-worker.tar" -name php-worker:demo -entrypoint /usr/bin/php -env PATH=/usr/bin "${files[@]}" -- "${app[@]}"
}

# The images of Python differ in their last layer only.
python() {
  local files
  files=$(python_files)
  mapfile -t files <<<"$files"
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
  local files
  files=$(busybox_files sh cat head mktemp printf rev rm sed sleep tr wc)
  mapfile -t files <<<"$files"
  pack "$out/shell-worker.tar" -name shell-worker:demo -entrypoint /bin/sh -env PATH=/bin "${files[@]}"
}

# framework NAME PACKAGE...: an application of a PHP framework, and the example's classes in it.
framework() {
  local name=$1 root program libs extensions files classes ini=$out/$1-extensions.ini
  shift
  root=$(unpacked php-cli php-mbstring php-xml "$@")
  program=$(find "$root/usr/bin" -type f -name 'php[0-9]*')
  extensions=$(find "$root/usr/lib/php" -regextype egrep -regex '.*/(ctype|dom|fileinfo|iconv|mbstring|phar|posix|tokenizer|xml)\.so' | sort)
  mapfile -t extensions <<<"$extensions"
  libs=$(libraries "$root" "$program" "${extensions[@]}")
  {
    echo "display_errors=stderr" # a warning is no part of a result
    for file in "${extensions[@]}"; do echo "extension=$(basename "$file")"; done
  } >"$ini"
  files=$(
    busybox_files sh stty # with which a console looks for its width
    printf '%s\n' "$libs" "$program:/usr/bin/php:755" "$root/usr/share/zoneinfo/Etc/UTC:/usr/share/zoneinfo/UTC"
    for file in "${extensions[@]}"; do echo "$file:${file#"$root"}"; done
    echo "$ini:/etc/php/$(basename "$program" | tr -d '[:lower:]')/cli/conf.d/20-extensions.ini"
    tree "$root/usr/share/php" /usr/share/php
  )
  mapfile -t files <<<"$files"
  classes=$(
    tree "$HERE/$name" /app
    tree "$ROOT/examples/$name" /app
    echo "$ROOT/examples/php/GearmanStream.php:/app/GearmanStream.php"
  )
  mapfile -t classes <<<"$classes"
  pack "$out/$name-worker.tar" -name "$name-worker:demo" -entrypoint /usr/bin/php -env PATH=/usr/bin:/bin "${files[@]}" -- "${classes[@]}"
}

symfony() { framework symfony php-symfony-console php-symfony-messenger php-symfony-framework-bundle; }
laravel() { framework laravel php-laravel-framework; }

(($# > 0)) || set -- php python shell
for example; do "$example"; done
