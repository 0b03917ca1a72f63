#!/usr/bin/env bash
# Shows what `pulumi up` would change, or does it. The state is in a blob that is read and written with the job's own login; it holds no secret, so there is none that would encrypt one.
#   $1                   preview or up
#   PULUMI_STACK         stack, e.g. prod: its settings are src/Infra/Pulumi.prod.yaml
#   PULUMI_BACKEND_URL   where the state is: azblob://CONTAINER?storage_account=ACCOUNT
#   GITHUB_OUTPUT, GITHUB_STEP_SUMMARY  files that results and the report are added to; without them both go to standard output
set -euo pipefail
what=${1:?is missing: preview or up.}
case $what in preview | up) ;; *) echo "::error title=Ground::'$what' is neither preview nor up." >&2; exit 2 ;; esac
: "${PULUMI_STACK:?is missing: the name of a stack.}" "${PULUMI_BACKEND_URL:?is missing: azblob://CONTAINER?storage_account=ACCOUNT.}"
export PULUMI_CONFIG_PASSPHRASE='' PULUMI_SKIP_UPDATE_CHECK=true
cd "$(dirname "${BASH_SOURCE[0]}")/../../src/Infra"
said=$(mktemp)
trap 'rm -f "$said"' EXIT

options=(--stack "$PULUMI_STACK" --non-interactive --color never --suppress-outputs)
[ "$what" = preview ] || options+=(--yes --skip-preview)
code=0
pulumi "$what" "${options[@]}" 2>&1 | tee "$said" || code=$?

{
  echo "### pulumi $what, stack $PULUMI_STACK: $([ "$code" -eq 0 ] && echo done || echo "failed with $code")"
  echo '```'
  tail -n 400 "$said" | head -c 60000 | sed 's/```/` ` `/g'
  echo '```'
} >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
[ "$code" -eq 0 ] || exit 1

if [ "$what" = up ]; then
  pulumi stack output --stack "$PULUMI_STACK" --json | jq --raw-output '"orchestrator=\(.orchestratorUrl)\naudience=\(.audience)\nversion=\(.applicationVersion)\nrouters=\(.routerUrls | tojson)"' >> "${GITHUB_OUTPUT:-/dev/stdout}"
fi
