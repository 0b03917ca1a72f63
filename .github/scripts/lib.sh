# What the scripts beside it share. Needs bash, curl and jq.
#
#   SHARDCLOUD_ORCHESTRATOR  address of the Orchestrator, e.g. https://orchestrator.example.net
#   SHARDCLOUD_TOKEN         bearer token of an operator; where there is none, az is asked for one
#   SHARDCLOUD_AUDIENCE      whom az asks it for: the application id URI of the Orchestrator
#   AZURE_CLIENT_ID, AZURE_TENANT_ID  as whom az logs in again in a job of over an hour
#   TITLE                    of annotations; 'Staged update' where nothing is said
#   GITHUB_OUTPUT, GITHUB_STEP_SUMMARY  files that results and the report are added to; without them both go to standard output
set -euo pipefail
title=${TITLE:-Staged update}

: "${SHARDCLOUD_ORCHESTRATOR:?is missing: set it to the address of the Orchestrator.}"
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Within this time an Orchestrator that is away must be back; what it does goes on meanwhile.
patience=${PATIENCE_SECONDS:-120}

output() { echo "$1=$2" >> "${GITHUB_OUTPUT:-/dev/stdout}"; } # name, value

summarize() { cat >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"; }

# One line for a person and for the run's page. Annotations have one line, and % and line ends of their own.
fail() { # exit code, text
  local text=${2//'%'/'%25'}
  echo "::error title=$title::${text//$'\n'/'%0A'}" >&2
  exit "$1"
}

# Never on a command line, where every process of the machine could read it.
authorization() {
  local token=${SHARDCLOUD_TOKEN:-}
  [ -n "$token" ] || token=$(access_token) || { login; token=$(access_token); }
  printf 'header = "Authorization: Bearer %s"\n' "$token"
}

access_token() { az account get-access-token --resource "${SHARDCLOUD_AUDIENCE:?is missing, and so is SHARDCLOUD_TOKEN: set one of them.}" --query accessToken --output tsv; }

# What az was given at the start of the job ends after an hour, and it cannot renew it: GitHub's own token, which it was given for, ended long before. So GitHub is asked for another.
login() {
  local assertion
  assertion=$(curl --silent --show-error --fail --config - "${ACTIONS_ID_TOKEN_REQUEST_URL:?is missing: log in to Azure first, and give the job id-token: write.}&audience=api://AzureADTokenExchange" \
    <<< "header = \"Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN\"" | jq --raw-output .value)
  az login --service-principal --username "${AZURE_CLIENT_ID:?}" --tenant "${AZURE_TENANT_ID:?}" --federated-token "$assertion" --output none
}

# call METHOD PATH [JSON]: prints the answer. Every call of these scripts may be repeated: it reads, asks for what is so already, or carries the run's Idempotency-Key.
# A refusal ends the script with exit code 4, an Orchestrator that stays away with 5.
call() {
  local method=$1 path=$2 body=${3-} status until=$((SECONDS + patience))
  local arguments=(--silent --show-error --max-time 100 --request "$method" --output "$work/answer" --write-out '%{http_code}')
  [ -z "${IDEMPOTENCY_KEY:-}" ] || arguments+=(--header "Idempotency-Key: $IDEMPOTENCY_KEY")
  if [ -n "$body" ]; then
    arguments+=(--header 'Content-Type: application/json' --data-binary "$body")
  elif [ "$method" != GET ]; then
    arguments+=(--header 'Content-Type:' --data-binary '') # With a Content-Length of 0.
  fi
  authorization > "$work/authorization"
  while :; do
    : > "$work/answer"
    status=$(curl --config "$work/authorization" "${arguments[@]}" "${SHARDCLOUD_ORCHESTRATOR%/}/api/$path") || status=000
    case $status in
      2??) cat "$work/answer"; return 0 ;;
      000 | 502 | 503 | 504) ;;
      *) fail 4 "$(problem "$status")" ;;
    esac
    [ "$SECONDS" -lt "$until" ] || fail 5 "The Orchestrator did not answer $method $path for $patience s; the last answer was: $(problem "$status")"
    sleep 2
  done
}

# A key of its own for a change that is not the same change when it is asked for twice.
key() { od --address-radix=n --read-bytes=16 --format=x1 /dev/urandom | tr -d ' \n'; }

# Follows an operation to its end, which is left in $work/operation.json; one that failed ends the script with exit code 1.
follow_operation() { # id
  local line said=
  while :; do
    call GET "operations/$1" > "$work/operation.json"
    line=$(jq --raw-output '"\(.state): \(.step // "")"' "$work/operation.json")
    [ "$line" = "$said" ] || echo "$line"
    said=$line
    [ "$(jq --raw-output .state "$work/operation.json")" = running ] || break
    sleep "${POLL_SECONDS:-5}"
  done
  jq --exit-status '.state == "succeeded"' "$work/operation.json" > /dev/null || fail 1 "$(jq --raw-output '.error // {} | "\(.code // "no code"): \(.message // "") \(.remedy // "")"' "$work/operation.json")"
}

# The code, the facts and the remedy of a refusal.
problem() {
  jq --raw-output '"\(.code): \(.detail) \(.remedy)"' "$work/answer" 2> /dev/null || echo "$1 $(head -c 300 "$work/answer")"
}
