# shellcheck shell=bash
# The files of languages, of Debian's packages, as arguments of pack. Sourced by the scripts beside it, after debian.sh.

# php_files: PHP's command line with the standard extensions.
php_files() {
  local root program libs
  root=$(unpacked php-cli)
  program=$(find "$root/usr/bin" -type f -name 'php[0-9]*')
  libs=$(libraries "$root" "$program")
  printf '%s\n' "${BASE[@]}" "$libs" "$program:/usr/bin/php:755" \
    "$root/usr/share/zoneinfo/Etc/UTC:/usr/share/zoneinfo/UTC" # Debian's PHP has no time zones of its own, and warns
}

# python_files: Python with its standard library.
python_files() {
  local root program version modules libs
  root=$(unpacked python3-minimal libpython3-stdlib)
  program=$(find "$root/usr/bin" -type f -name 'python3.*')
  version=$(basename "$program")
  modules=$(find "$root/usr/lib/$version/lib-dynload" -name '*.so' | sort)
  mapfile -t modules <<<"$modules"
  libs=$(libraries "$root" "$program" "${modules[@]}")
  printf '%s\n' "${BASE[@]}" "$libs" "$program:/usr/bin/$version:755" "@$version:/usr/bin/python3"
  tree "$root/usr/lib/$version" "/usr/lib/$version"
}

# busybox_files TOOL...: a static busybox under the names of these tools.
busybox_files() {
  local b tool
  b=$(busybox)
  printf '%s\n' "${BASE[@]}" "$b:/bin/busybox:755"
  for tool; do echo "@busybox:/bin/$tool"; done
}
