#!/usr/bin/env bash
# Builds the three packages that `pulumi up` uploads. On Linux or macOS: elsewhere programs lose the mark that they may be executed.
#   PROJECT  application to begin with, with shardcloud.json in its output; samples/Rooms.V2 where nothing is said
#   VERSION  version that its package gets; 2.0.0 where nothing is said
#   GROUND   folder for the zip files; artifacts/ground where nothing is said
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
ground=${GROUND:-artifacts/ground}
dotnet build src/Cli --configuration Release --nologo --verbosity quiet
build() { dotnet src/Cli/bin/Release/net10.0/shardcloud.dll package build "$@"; }

build orchestrator --output "$ground/orchestrator.zip"
build router --output "$ground/router.zip"
build application --project "${PROJECT:-samples/Rooms.V2/Rooms.V2.csproj}" --version "${VERSION:-2.0.0}" --output "$ground/application.zip"
