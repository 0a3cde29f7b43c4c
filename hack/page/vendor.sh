#!/usr/bin/env bash
# Takes uPlot, which draws the page's charts, from npm into internal/page/static/uplot. Its integrity is that of npm's registry, pinned here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=1.6.32
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "uplot@$version" >/dev/null && sha256sum --check --quiet <<<"4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d  uplot-$version.tgz" && tar xzf "uplot-$version.tgz")
for file in dist/uPlot.iife.min.js dist/uPlot.min.css LICENSE; do
  install -m 644 "$work/package/$file" internal/page/static/uplot/
done
echo "vendor: uPlot $version"
