#!/usr/bin/env bash
# Publishes a package. The same content again is the same publication.
#   PACKAGE  zip file, or folder to be zipped, with shardcloud.json at its root
. "$(dirname "$0")/lib.sh"
IDEMPOTENCY_KEY= # Each try gets an address of its own.
: "${PACKAGE:?is missing: the zip file or folder of a package.}"

zip=$PACKAGE
if [ -d "$PACKAGE" ]; then
  zip=$work/package.zip
  (cd "$PACKAGE" && zip --quiet --recurse-paths "$zip" .)
fi
[ -f "$zip" ] || fail 2 "There is no file or folder '$PACKAGE'."

upload=$(call POST packages/uploads)
# The address is a secret: whoever has it can write there. So it is in no argument either.
printf 'url = "%s"\n' "$(jq --raw-output .url <<< "$upload")" > "$work/upload"
curl --config "$work/upload" --silent --show-error --fail --retry 5 --max-time 1800 --upload-file "$zip" --header 'x-ms-blob-type: BlockBlob' --header 'Content-Type: application/zip' > "$work/uploaded" \
  || fail 5 "The package could not be uploaded: $(head -c 300 "$work/uploaded")"
published=$(call POST packages "$(jq --compact-output '{upload}' <<< "$upload")")
jq --raw-output '"\(.version) is published: \(.bytes) bytes, sha256 \(.sha256)"' <<< "$published"
output version "$(jq --raw-output .version <<< "$published")"
