// Uploads a file as a blob that never changes: node upload-blob.mjs ACCOUNT CONTAINER BLOB FILE SHA256 [NAME=VALUE ...]
// The same content again is fine; other content under the same name is refused, since sites may run what is there.
import { az, fail } from "./az.mjs";

const [account, container, blob, file, sha256, ...metadata] = process.argv.slice(2);
if (!sha256) fail("usage: upload-blob.mjs ACCOUNT CONTAINER BLOB FILE SHA256 [NAME=VALUE ...]");
const at = ["--auth-mode", "login", "--account-name", account, "--container-name", container, "--name", blob];

const upload = await az(["storage", "blob", "upload", ...at, "--file", file, "--content-type", "application/zip", "--overwrite", "false",
  "--metadata", `sha256=${sha256}`, ...metadata, "--only-show-errors", "--output", "none"]);
if (upload.ok) process.exit(0);
if (!/BlobAlreadyExists|already exists/i.test(upload.error)) fail(upload.error);

const known = await az(["storage", "blob", "show", ...at, "--query", "metadata.sha256", "--only-show-errors", "--output", "tsv"]);
if (!known.ok) fail(known.error);
if (known.out !== sha256) fail(`${container}/${blob} was uploaded before, with other content (sha256 ${known.out}): give the new content a version of its own.`);
