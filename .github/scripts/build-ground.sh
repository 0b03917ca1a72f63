#!/usr/bin/env bash
# Builds the three packages that `pulumi up` uploads. On Linux: elsewhere programs lose the mark that they may be executed.
#   PROJECT  application to begin with, with shardcloud.json in its output; samples/Rooms.V2 where nothing is said
#   VERSION  version that its package gets; 2.0.0 where nothing is said
#   GROUND   folder for the zip files; artifacts/ground where nothing is said
set -euo pipefail
[ "$(uname -s)" = Linux ] || { echo "::error title=Ground::Build the packages on Linux: elsewhere programs lose the mark that they may be executed." >&2; exit 2; }
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$scripts/../.."
ground=${GROUND:-artifacts/ground}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The image of a custom handler has no .NET, so the handler brings it along.
dotnet publish src/Orchestrator --configuration Release --runtime linux-x64 --self-contained --output "$work/orchestrator"
dotnet publish src/ShardRuntime --configuration Release --runtime linux-x64 --no-self-contained --output "$work/router"
PROJECT=${PROJECT:-samples/Rooms.V2/Rooms.V2.csproj} VERSION=${VERSION:-2.0.0} PACKAGE=$work/application "$scripts/build-package.sh"
[ -x "$work/orchestrator/ShardCloud.Orchestrator" ] || { echo "::error title=Ground::The Orchestrator's program is not marked as executable." >&2; exit 2; }

for name in orchestrator router application; do
  "$scripts/zip-folder.sh" "$work/$name" "$ground/$name.zip"
  echo "$(sha256sum "$ground/$name.zip")"
done
