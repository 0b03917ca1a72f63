#!/usr/bin/env bash
# Deletes a throw-away stack with all that is in it, data too. Shards first: the Orchestrator made their sites, and they keep plans and subnet busy.
#   PULUMI_STACK         stack whose name begins with conformance-; no other one is deleted
#   PULUMI_BACKEND_URL   where its state is
#   END_SECONDS          how long the Orchestrator may take for its shards; 1800 where nothing is said
#   GITHUB_STEP_SUMMARY  file that the report is added to; without it, it goes to standard output
set -euo pipefail
: "${PULUMI_STACK:?is missing: the name of a stack.}" "${PULUMI_BACKEND_URL:?is missing: azblob://CONTAINER?storage_account=ACCOUNT.}"
[[ $PULUMI_STACK == conformance-* ]] || { echo "::error title=Ground::'$PULUMI_STACK' is no throw-away stack: its name does not begin with conformance-." >&2; exit 2; }
export PULUMI_CONFIG_PASSPHRASE='' PULUMI_SKIP_UPDATE_CHECK=true
cd "$(dirname "${BASH_SOURCE[0]}")/../../src/Infra"

# The Orchestrator ends its shards in order. Where it cannot, because `up` broke off or it is broken, what follows does without it.
outputs=$(pulumi stack output --stack "$PULUMI_STACK" --json || echo '{}')
if jq --exit-status '.orchestratorUrl and .audience and .application' <<< "$outputs" > /dev/null; then
  SHARDCLOUD_ORCHESTRATOR=$(jq --raw-output .orchestratorUrl <<< "$outputs") SHARDCLOUD_AUDIENCE=$(jq --raw-output .audience <<< "$outputs") CLOUD=$(jq --raw-output .application <<< "$outputs") \
    TITLE=Ground timeout "${END_SECONDS:-1800}" ../../.github/scripts/shutdown.sh || echo 'The Orchestrator did not end its shards: they are deleted without it.'
fi

# Where `up` broke off there are no outputs; the state has the group all the same.
group=$(pulumi stack export --stack "$PULUMI_STACK" | jq --raw-output '[.deployment.resources[]? | select(.type == "azure-native:resources:ResourceGroup") | .outputs.name // empty][0] // ""')
if [ -n "$group" ] && [ "$(az group exists --name "$group")" = true ]; then
  # It would make new shards for those that go. What fails here shows in what follows.
  az functionapp list --resource-group "$group" --query '[].name' --output tsv | while read -r app; do az functionapp stop --resource-group "$group" --name "$app" < /dev/null; done || echo 'The Orchestrator was not stopped.'
  az webapp list --resource-group "$group" --query '[?tags."shardcloud-application"].name' --output tsv | while read -r site; do az webapp delete --resource-group "$group" --name "$site" --keep-empty-plan < /dev/null; done || echo 'Not all shards were deleted.'
fi

code=0
for try in 1 2 3; do # A subnet is free some minutes after its last site has gone.
  code=0
  pulumi destroy --stack "$PULUMI_STACK" --yes --skip-preview --non-interactive --color never --suppress-outputs || code=$?
  [ "$code" -ne 0 ] || break
  [ "$try" -eq 3 ] || sleep "${PAUSE_SECONDS:-180}"
done
if [ "$code" -ne 0 ] && [ -n "$group" ]; then
  az group delete --name "$group" --yes # Whatever is in it; the stack's state stays, for who wants to know why.
  echo "### pulumi destroy failed with $code; the group $group was deleted whole" >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
  exit 1
fi
[ "$code" -eq 0 ] || exit 1
pulumi stack rm "$PULUMI_STACK" --yes --non-interactive
echo "### The stack $PULUMI_STACK is deleted" >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
