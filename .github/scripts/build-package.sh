#!/usr/bin/env bash
# Builds a .NET application into the folder of a package.
#   PROJECT        project to publish, with shardcloud.json in its output
#   VERSION        version that the package gets, in its shardcloud.json
#   PACKAGE        folder to write
#   CONFIGURATION  of the build; Release where nothing is said
set -euo pipefail
dotnet publish "${PROJECT:?is missing}" --configuration "${CONFIGURATION:-Release}" --output "${PACKAGE:?is missing}"
manifest=$PACKAGE/shardcloud.json
[ -f "$manifest" ] || { echo "::error title=Staged update::The output of $PROJECT has no shardcloud.json: let it be copied there (docs/versions.md)." >&2; exit 2; }
stamped=$(jq --arg version "${VERSION:?is missing}" '.version = $version' "$manifest")
echo "$stamped" > "$manifest"
