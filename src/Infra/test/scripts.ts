import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";

const sha256 = "c".repeat(64);

/** The scripts with an `az` that answers as it is told, a line of JSON for each call: exit code, what it prints, what it complains of. */
describe("scripts", { skip: process.platform === "win32" && "the stand-in for az is a shell script" }, () => {
  const folder = mkdtempSync(join(tmpdir(), "shardcloud-test-"));
  const [answers, calls] = [join(folder, "answers"), join(folder, "calls")];
  writeFileSync(join(folder, "az"), `#!/bin/sh
line=; for word in "$@"; do case "$word" in @*) word=$(cat "\${word#@}") ;; esac; line="$line $word"; done
printf '%s\\n' "\${line# }" >> "${calls}"
n=$(wc -l < "${calls}")
line=$(sed -n "\${n}p" "${answers}")
[ -n "\$line" ] || exit 9
code=\${line%%|*}; rest=\${line#*|}; printf '%s\\n' "\${rest%%|*}"; printf '%s\\n' "\${rest#*|}" >&2
exit "$code"
`);
  chmodSync(join(folder, "az"), 0o755);
  after(() => rmSync(folder, { recursive: true }));
  beforeEach(() => rmSync(calls, { force: true }));

  function run(script: string, args: string[], given: string[], environment: Record<string, string> = {}) {
    writeFileSync(answers, given.join("\n") + "\n");
    const run = spawnSync(process.execPath, [join(__dirname, "..", "scripts", script), ...args], {
      encoding: "utf8", env: { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}`, AZ_RETRY_PAUSE_MAX: "1", ...environment },
    });
    return { exit: run.status, said: run.stderr.trim(), printed: run.stdout.trim(), calls: existsSync(calls) ? readFileSync(calls, "utf8").trim().split("\n") : [] };
  }
  const upload = (...given: string[]) => run("upload-blob.mjs", ["account", "packages", "rooms/1.0.0.zip", "a.zip", sha256, "command=x"], given);

  test("a blob goes up with the caller's identity, its checksum beside it", () => {
    const { exit, calls } = upload("0||");
    assert.equal(exit, 0);
    assert.deepEqual(calls, [`storage blob upload --auth-mode login --account-name account --container-name packages --name rooms/1.0.0.zip --file a.zip --content-type application/zip --overwrite false --metadata sha256=${sha256} command=x --only-show-errors --output none`]);
  });

  test("a role that does not count yet is waited for", () => {
    const { exit, calls } = upload("1||AuthorizationPermissionMismatch: not yet", "1||AuthorizationPermissionMismatch: not yet", "0||");
    assert.deepEqual([exit, calls.length], [0, 3]);
  });

  test("the same content again is fine, other content under the same name is refused", () => {
    assert.equal(upload("1||BlobAlreadyExists", `0|${sha256}|`).exit, 0);
    rmSync(calls);
    const other = upload("1||BlobAlreadyExists", `0|${"d".repeat(64)}|`);
    assert.equal(other.exit, 1);
    assert.match(other.said, /packages\/rooms\/1.0.0.zip was uploaded before, with other content \(sha256 d+\)/);
  });

  test("what does not pass by itself is said at once", () => {
    const { exit, said, calls } = upload("1||ERROR: Please run 'az login'");
    assert.deepEqual([exit, calls.length], [1, 1]);
    assert.match(said, /az login/);
  });

  test("waiting has an end", () => {
    const { exit, calls } = run("upload-blob.mjs", ["account", "packages", "b", "a.zip", sha256], ["1||TooManyRequests"], { AZ_RETRY_SECONDS: "0" });
    assert.deepEqual([exit, calls.length], [1, 1]);
  });

  test("a Functions app gets its package once it is there", () => {
    const { exit, calls } = run("publish-functions.mjs", ["group", "app", "a.zip"], ["1||ResourceNotFound", "0||"]);
    assert.equal(exit, 0);
    assert.deepEqual(calls, Array(2).fill("functionapp deployment source config-zip --resource-group group --name app --src a.zip --only-show-errors --output none"));
  });

  test("an application is registered with its four roles, and the command line may ask for its tokens", () => {
    const { exit, said, printed, calls } = run("register.mjs", ["create", "shop"], ["0||", "0|app-id object-id|", "0||", "0||", "0||", "0||", "0|tenant-id|"]);
    assert.deepEqual([exit, printed], [0, "shardcloud:entra: { tenantId: tenant-id, clientId: app-id }"], said);
    assert.match(calls[1]!, /^ad app create --display-name shop --sign-in-audience AzureADMyOrg /);
    assert.match(calls[2]!, /^rest --method PATCH --url https:\/\/graph.microsoft.com\/v1.0\/applications\/object-id --body \{"identifierUris":\["api:\/\/app-id"\],"appRoles":/);
    const roles = (JSON.parse(/--body (\{.*\}) --only/.exec(calls[2]!)![1]!) as { appRoles: { id: string; value: string }[] }).appRoles;
    assert.deepEqual(roles.map(({ value }) => value), ["member", "orchestrator", "operator", "observer"]);
    assert.equal(new Set(roles.map(({ id }) => id)).size, 4);
    assert.match(calls[3]!, /"preAuthorizedApplications":\[\{"appId":"04b07795-8ddb-461a-bbee-02f9e1bf7b46"/);
    assert.match(calls[5]!, /^ad sp create --id app-id/);
  });

  test("one that is there already is brought up to date, and not made again", () => {
    const { exit, calls } = run("register.mjs", ["create", "shop"], ["0|app-id object-id|", "0||", "0||", "0|sp-id|", "0|tenant-id|"]);
    assert.equal(exit, 0);
    assert.ok(!calls.some((call) => /create/.test(call)), calls.join("\n"));
  });

  test("roles are given, and given again without harm", () => {
    const [one, two] = ["88888888-8888-8888-8888-888888888888", "99999999-9999-9999-9999-999999999999"];
    const { exit, said, printed, calls } = run("register.mjs", ["assign", "app-id", `member=${one}`, `operator=${two}`], ["0|sp-id|", "0||", "1||Permission being assigned already exists on the object"]);
    assert.deepEqual([exit, printed], [0, `${one} is member\n${two} was operator`], said);
    assert.match(calls[1]!, new RegExp(`^rest --method POST --url https://graph.microsoft.com/v1.0/servicePrincipals/sp-id/appRoleAssignedTo --body \\{"principalId":"${one}","resourceId":"sp-id","appRoleId":"[0-9a-f-]{36}"\\}`));
  });

  test("a role that there is not is refused before anything is asked", () => {
    const { exit, said, calls } = run("register.mjs", ["assign", "app-id", "owner=88888888-8888-8888-8888-888888888888"], []);
    assert.deepEqual([exit, calls.length], [1, 0]);
    assert.match(said, /is not one of member, orchestrator, operator, observer/);
  });

  test("without az it says what to install", () => {
    const { exit, said } = run("publish-functions.mjs", ["group", "app", "a.zip"], [], { PATH: "" });
    assert.equal(exit, 1);
    assert.match(said, /install the Azure CLI/);
  });

  test("too few arguments are refused", () => assert.equal(run("upload-blob.mjs", ["account"], []).exit, 1));
});
