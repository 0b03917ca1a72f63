// The Entra application that tokens of the Orchestrator and the members are for (docs/operating/identity.md). Pulumi's azure-native makes none.
//   node scripts/register.mjs create NAME              makes it; prints the settings that the stack wants
//   node scripts/register.mjs assign CLIENT_ID ROLE=PRINCIPAL ...   gives identities, or people, a role: member, orchestrator, operator, observer
// Both may be repeated. Whoever runs them may register applications and give their roles (Application Administrator, or its owner).
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { az, fail } from "./az.mjs";

const graph = "https://graph.microsoft.com/v1.0";
const azureCli = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"; // The Azure CLI's own application, for people who ask it for a token.
const scope = { id: "7a5c0f0e-2f53-4d0b-9a53-0d6f1c5e9b00", value: "user_impersonation" };
/** Ids need to be unique within one application only, so they are the same everywhere. */
const roles = {
  member: { id: "7a5c0f0e-2f53-4d0b-9a53-0d6f1c5e9b01", who: ["Application"], does: "Is a shard or a router." },
  orchestrator: { id: "7a5c0f0e-2f53-4d0b-9a53-0d6f1c5e9b02", who: ["Application"], does: "Steers members." },
  operator: { id: "7a5c0f0e-2f53-4d0b-9a53-0d6f1c5e9b03", who: ["Application", "User"], does: "Reads and changes through the management API." },
  observer: { id: "7a5c0f0e-2f53-4d0b-9a53-0d6f1c5e9b04", who: ["Application", "User"], does: "Reads through the management API." },
};

const [what, first, ...rest] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "shardcloud-"));
process.on("exit", () => rmSync(folder, { recursive: true }));
if (what === "create" && first) await create(first);
else if (what === "assign" && first && rest.length > 0) await assign(first, rest.map((pair) => pair.split("=")));
else fail("usage: register.mjs create NAME | register.mjs assign CLIENT_ID ROLE=PRINCIPAL ...");

async function create(name) {
  const known = await run("ad", "app", "list", "--display-name", name, "--query", `[?displayName=='${name}'].[appId,id]`, "--output", "tsv");
  if (known.includes("\n")) fail(`There are several applications called '${name}': give this one a name of its own.`);
  const [appId, objectId] = (known || await run("ad", "app", "create", "--display-name", name, "--sign-in-audience", "AzureADMyOrg", "--query", "[appId,id]", "--output", "tsv")).split(/\s+/);
  await graphCall("PATCH", `applications/${objectId}`, {
    identifierUris: [`api://${appId}`],
    appRoles: Object.entries(roles).map(([value, { id, who, does }]) => ({ id, value, displayName: value, description: does, allowedMemberTypes: who, isEnabled: true })),
    api: {
      requestedAccessTokenVersion: 2,
      oauth2PermissionScopes: [{ ...scope, type: "User", isEnabled: true, adminConsentDisplayName: "Manage", adminConsentDescription: "Call the management API as the signed-in person." }],
    },
  });
  // Only now is there a scope that the command line may ask for.
  await graphCall("PATCH", `applications/${objectId}`, { api: { preAuthorizedApplications: [{ appId: azureCli, delegatedPermissionIds: [scope.id] }] } });
  if (!await run("ad", "sp", "list", "--filter", `appId eq '${appId}'`, "--query", "[].id", "--output", "tsv")) await run("ad", "sp", "create", "--id", appId, "--output", "none");
  const tenantId = await run("account", "show", "--query", "tenantId", "--output", "tsv");
  console.log(`shardcloud:entra: { tenantId: ${tenantId}, clientId: ${appId} }`);
}

async function assign(clientId, wanted) {
  for (const [role, principal] of wanted) if (!roles[role] || !/^[0-9a-f-]{36}$/i.test(principal ?? "")) fail(`'${role}=${principal}' is not one of ${Object.keys(roles).join(", ")} and an object id.`);
  const resourceId = await run("ad", "sp", "show", "--id", clientId, "--query", "id", "--output", "tsv");
  for (const [role, principalId] of wanted) {
    const given = await graphCall("POST", `servicePrincipals/${resourceId}/appRoleAssignedTo`, { principalId, resourceId, appRoleId: roles[role].id }, /already exists/i);
    console.log(`${principalId} ${given ? "is" : "was"} ${role}`);
  }
}

async function run(...args) {
  const ended = await az([...args, "--only-show-errors"]);
  if (!ended.ok) fail(ended.error);
  return ended.out;
}

/** Calls Microsoft Graph; false where it is refused because of what it is told to be fine. The body goes by a file: no shell's quotes matter then. */
async function graphCall(method, path, body, fine) {
  const file = join(folder, "body.json");
  writeFileSync(file, JSON.stringify(body));
  const ended = await az(["rest", "--method", method, "--url", `${graph}/${path}`, "--body", `@${file}`, "--only-show-errors", "--output", "none"]);
  if (!ended.ok && !fine?.test(ended.error)) fail(ended.error);
  return ended.ok;
}
