#!/usr/bin/env bash
# Zips a folder by relative paths, with the marks of what is executable. The same content is the same file, whenever it is made: what is named by its checksum then changes only with what is in it.
#   $1  folder
#   $2  zip file to write
set -euo pipefail
folder=${1:?is missing: a folder.} zip=$(realpath --canonicalize-missing "${2:?is missing: a zip file.}")
mkdir -p "$(dirname "$zip")"
rm -f "$zip"
cd "$folder"
find . -exec touch --no-dereference --date=2000-01-01T00:00:00Z {} +
find . -type f -printf '%P\n' | LC_ALL=C sort | TZ=UTC zip --quiet -X "$zip" -@
