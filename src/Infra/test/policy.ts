import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { at, type Expectation, faultsOf, isSecret, type Registered, type Run } from "../policy";
import { roles } from "../roles";
import { run, type Variant } from "./run";

const privately: Expectation = { privateEndpoints: true };
const expectations: Readonly<Record<Variant, Expectation>> = {
  "dev": { privateEndpoints: false }, "dev with a domain": { privateEndpoints: false }, "prod": privately, "prod with everything": privately,
};

describe("policy", () => {
  for (const [variant, expectation] of Object.entries(expectations) as [Variant, Expectation][]) {
    test(`${variant}: nothing is unsafe`, async () => assert.deepEqual(faultsOf(await run(variant), expectation), []));
  }

  test("an empty run has no faults, so that only resources can be at fault", () => assert.deepEqual(faultsOf({ resources: [], calls: [], outputs: {} }, { privateEndpoints: true }), []));

  test("secrets are known by name and by look", () => {
    for (const [name, value] of [["A__ConnectionString", "x"], ["ADMIN_PASSWORD", "x"], ["x", "Endpoint=sb://a/;SharedAccessKeyName=b;SharedAccessKey=c"], ["x", "DefaultEndpointsProtocol=https;AccountKey=c"],
      ["x", "https://a.blob.core.windows.net/b?sv=1&sig=abc"], ["x", "eyJhbGciOiJIUzI1NiJ9.e30.x"], ["x", "A".repeat(86) + "=="]] as const) assert.ok(isSecret(name, value), `${name}=${value}`);
    for (const [name, value] of [["AZURE_CLIENT_ID", "22222222-2222-2222-2222-222222222222"], ["x", "/subscriptions/1/resourceGroups/g/providers/Microsoft.Web/serverfarms/shards-1"], ["x", "https://a.blob.core.windows.net/packages/routers/0123456789abcdef.zip"]] as const) {
      assert.ok(!isSecret(name, value), `${name}=${value}`);
    }
  });
});

/** One fault: what is changed in the inputs of which resource, and what the policy must say of it. */
interface Mutation {
  readonly says: RegExp;
  /** The resource, by type and name. */
  readonly of?: readonly [string, string];
  readonly set?: readonly [string, unknown];
  /** A resource more. */
  readonly add?: Registered;
  readonly call?: string;
  readonly output?: readonly [string, unknown];
}

const storage = "azure-native:storage:StorageAccount", hubs = "azure-native:eventhub:Namespace", site = "azure-native:web:WebApp", assignment = "azure-native:authorization:RoleAssignment";
const setting = (name: string, value: string): readonly [string, unknown] => ["siteConfig.appSettings.0", { name, value }];
const given = (who: string, role: string, scope = "/subscriptions/1/resourceGroups/group/providers/Test/x"): Registered =>
  ({ type: assignment, name: "added", inputs: { principalId: `${who}-principal`, roleDefinitionId: `/providers/Microsoft.Authorization/roleDefinitions/${role}`, scope } });

const mutations: Readonly<Record<string, Mutation>> = {
  "an account takes its key": { of: [storage, "scleases"], set: ["allowSharedKeyAccess", true], says: /scleases: allowSharedKeyAccess is true/ },
  "nothing is said of an account's key": { of: [storage, "sctasks"], set: ["allowSharedKeyAccess", undefined], says: /sctasks: allowSharedKeyAccess is undefined/ },
  "blobs may be public": { of: [storage, "scsnapshots"], set: ["allowBlobPublicAccess", true], says: /allowBlobPublicAccess is true/ },
  "another tenant may copy": { of: [storage, "scsnapshots"], set: ["allowCrossTenantReplication", true], says: /allowCrossTenantReplication is true/ },
  "an account speaks TLS 1.0": { of: [storage, "scleases"], set: ["minimumTlsVersion", "TLS1_0"], says: /minimumTlsVersion is "TLS1_0"/ },
  "an account speaks http": { of: [storage, "scleases"], set: ["enableHttpsTrafficOnly", false], says: /enableHttpsTrafficOnly is false/ },
  "the portal uses keys": { of: [storage, "scleases"], set: ["defaultToOAuthAuthentication", false], says: /defaultToOAuthAuthentication is false/ },
  "leases are reached from outside": { of: [storage, "scleases"], set: ["publicNetworkAccess", "Enabled"], says: /scleases: publicNetworkAccess is "Enabled"/ },
  "a container is public": { of: ["azure-native:storage:BlobContainer", "packages"], set: ["publicAccess", "Blob"], says: /packages: publicAccess is "Blob"/ },
  "the log takes keys": { of: [hubs, "log"], set: ["disableLocalAuth", false], says: /disableLocalAuth is false/ },
  "the log speaks TLS 1.0": { of: [hubs, "log"], set: ["minimumTlsVersion", "1.0"], says: /minimumTlsVersion is "1.0"/ },
  "the log is reached from outside": { of: [hubs, "log"], set: ["publicNetworkAccess", "Enabled"], says: /log: publicNetworkAccess is "Enabled"/ },
  "the log has a key of its own": { add: { type: "azure-native:eventhub:NamespaceAuthorizationRule", name: "all", inputs: {} }, says: /there must be none/ },
  "telemetry is taken from anybody": { of: ["azure-native:applicationinsights:Component", "insights"], set: ["disableLocalAuth", false], says: /disableLocalAuth is false/ },
  "logs are taken with a key": { of: ["azure-native:operationalinsights:Workspace", "logs"], set: ["features.disableLocalAuth", false], says: /features.disableLocalAuth is false/ },
  "a router speaks http": { of: [site, "http"], set: ["httpsOnly", false], says: /http: httpsOnly is false/ },
  "the Orchestrator speaks http": { of: [site, "orchestrator"], set: ["httpsOnly", false], says: /orchestrator: httpsOnly is false/ },
  "a router speaks TLS 1.0": { of: [site, "http"], set: ["siteConfig.minTlsVersion", "1.0"], says: /siteConfig.minTlsVersion is "1.0"/ },
  "publishing speaks TLS 1.0": { of: [site, "http"], set: ["siteConfig.scmMinTlsVersion", "1.0"], says: /siteConfig.scmMinTlsVersion is "1.0"/ },
  "FTP is on": { of: [site, "sockets"], set: ["siteConfig.ftpsState", "AllAllowed"], says: /siteConfig.ftpsState is "AllAllowed"/ },
  "FTPS is on": { of: [site, "sockets"], set: ["siteConfig.ftpsState", "FtpsOnly"], says: /siteConfig.ftpsState is "FtpsOnly"/ },
  "a password publishes": { of: ["azure-native:web:WebAppScmAllowed", "http-scm"], set: ["allow", true], says: /http-scm: allow is true/ },
  "nothing forbids a password": { of: ["azure-native:web:WebAppFtpAllowed", "sockets-ftp"], set: ["name", "another"], says: /sockets: there is no WebAppFtpAllowed/ },
  "a site has an identity that ends with it": { of: [site, "http"], set: ["identity.type", "SystemAssigned"], says: /identity.type is "SystemAssigned"/ },
  "a site has no identity": { of: [site, "http"], set: ["identity.userAssignedIdentities", []], says: /http: it has no user-assigned identity/ },
  "a site has a slot": { add: { type: "azure-native:web:WebAppSlot", name: "staging", inputs: {} }, says: /there must be none/ },
  "a key is in a setting, by its look": { of: [site, "orchestrator"], set: setting("Harmless", `DefaultEndpointsProtocol=https;AccountName=a;AccountKey=${"A".repeat(86)}==`), says: /app setting Harmless looks like a secret/ },
  "a key is in a setting, bare": { of: [site, "http"], set: setting("Harmless", `${"Ab1+".repeat(21)}Ab==`), says: /app setting Harmless looks like a secret/ },
  "a connection string is in a setting, by its name": { of: [site, "http"], set: setting("ShardCloud__Log__ConnectionString", "x"), says: /ConnectionString looks like a secret/ },
  "a signature is in a setting": { of: [site, "http"], set: setting("WEBSITE_RUN_FROM_PACKAGE", "https://a.blob.core.windows.net/b.zip?sv=1&sig=abc"), says: /WEBSITE_RUN_FROM_PACKAGE looks like a secret/ },
  "telemetry has a key beside its destination": { of: [site, "orchestrator"], set: setting("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=x;SharedAccessKey=y"), says: /APPLICATIONINSIGHTS_CONNECTION_STRING looks like a secret/ },
  "the Functions host has an account's key": { of: [site, "orchestrator"], set: setting("AzureWebJobsStorage", "x"), says: /AzureWebJobsStorage is refused/ },
  "the runtime is named": { of: [site, "orchestrator"], set: setting("FUNCTIONS_WORKER_RUNTIME", "custom"), says: /FUNCTIONS_WORKER_RUNTIME is refused/ },
  "the runtime's version is 10.0": { of: [site, "orchestrator"], set: ["functionAppConfig.runtime.version", "10.0"], says: /runtime.version is "10.0"/ },
  "the runtime's version is 1": { of: [site, "orchestrator"], set: ["functionAppConfig.runtime.version", "1"], says: /runtime.version is "1"/ },
  "the runtime is another": { of: [site, "orchestrator"], set: ["functionAppConfig.runtime.name", "dotnet-isolated"], says: /runtime.name is "dotnet-isolated"/ },
  "the runtime is told a framework": { of: [site, "orchestrator"], set: ["siteConfig.netFrameworkVersion", "v4.6"], says: /orchestrator: siteConfig.netFrameworkVersion is "v4.6"/ },
  "the package is fetched with a key": { of: [site, "orchestrator"], set: ["functionAppConfig.deployment.storage.authentication.type", "StorageAccountConnectionString"], says: /authentication.type is "StorageAccountConnectionString"/ },
  "clients stick to a router": { of: [site, "http"], set: ["clientAffinityEnabled", true], says: /clientAffinityEnabled is true/ },
  "a route caches": { of: ["azure-native:cdn:Route", "http"], set: ["cacheConfiguration", { queryStringCachingBehavior: "UseQueryString" }], says: /cacheConfiguration is/ },
  "a route forwards http": { of: ["azure-native:cdn:Route", "http"], set: ["forwardingProtocol", "MatchRequest"], says: /forwardingProtocol is "MatchRequest"/ },
  "everybody gets past Front Door": { of: [site, "http"], set: ["siteConfig.ipSecurityRestrictionsDefaultAction", "Allow"], says: /ipSecurityRestrictionsDefaultAction is "Allow"/ },
  "everybody's Front Door gets in": { of: [site, "http"], set: ["siteConfig.ipSecurityRestrictions.0.headers", {}], says: /everybody's Front Door/ },
  "another network gets in beside Front Door": { of: [site, "http"], set: ["siteConfig.ipSecurityRestrictions.1", { ipAddress: "10.0.0.0/8", action: "Allow" }], says: /ipSecurityRestrictions.1 is/ },
  "members make sites": { add: given("members", roles.websiteContributor), says: /members-principal has role de139f84-\S+, which is for the orchestrator only/ },
  "the deploy identity makes sites as the Orchestrator": { add: given("deploy", roles.websiteContributor), says: /deploy-principal has role de139f84/ },
  "members attach identities": { add: given("members", roles.managedIdentityOperator), says: /members-principal has role f1a07417/ },
  "members own the task hub": { add: given("members", roles.blobDataOwner), says: /members-principal has role b7e6dc6d/ },
  "the Orchestrator may change everything": { add: given("orchestrator", roles.contributor), says: /orchestrator-principal has role b24988ac/ },
  "somebody is owner": { add: given("deploy", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"), says: /role 8e3af657-\S+ is not one of those/ },
  "somebody gives roles": { add: given("deploy", "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"), says: /role 18d7d88d-\S+ is not one of those/ },
  "a role for data is for the whole group": { add: given("members", roles.tableDataContributor, "/subscriptions/1/resourceGroups/group"), says: /it is for the whole group/ },
  "any branch logs in": { of: ["azure-native:managedidentity:FederatedIdentityCredential", "github-production"], set: ["subject", "repo:owner/name:ref:refs/heads/*"], says: /is not one environment of one repository/ },
  "a pull request acts as who deploys": { of: ["azure-native:managedidentity:FederatedIdentityCredential", "github-preview"], set: ["resourceName", "deploy"], says: /pull requests would act as deploy/ },
  "a pull request changes things": { add: given("preview", roles.contributor), says: /whoever opens a pull request could use role b24988ac/ },
  "a pull request reads data": { add: given("preview", roles.blobDataReader), says: /whoever opens a pull request could use role 2a2b9908/ },
  "another issuer is believed": { of: ["azure-native:managedidentity:FederatedIdentityCredential", "github-production"], set: ["issuer", "https://token.example.com"], says: /issuer is "https:\/\/token.example.com"/ },
  "a blob is uploaded with the account's key": { add: { type: "azure-native:storage:Blob", name: "package", inputs: {} }, says: /there must be none/ },
  "a key is on a command line": { of: ["command:local:Command", "router-package"], set: ["create", "az storage blob upload --account-key x"], says: /a credential is on its command line/ },
  "keys are listed": { call: "azure-native:storage:listStorageAccountKeys", says: /listStorageAccountKeys is called/ },
  "a key is an output": { output: ["storage", { primaryKey: "x" }], says: /output storage.primaryKey looks like a secret/ },
};

describe("policy, with one fault", () => {
  let good: Run;
  before(async () => { good = await run("prod with everything"); });

  for (const [name, mutation] of Object.entries(mutations)) {
    test(name, () => {
      const before = JSON.stringify(good);
      const bad = mutate(good, mutation);
      const faults = faultsOf(bad, privately);
      assert.ok(faults.some((fault) => mutation.says.test(fault)), `said only: ${JSON.stringify(faults)}`);
      assert.equal(JSON.stringify(good), before); // The next one starts from the good run.
    });
  }
});

function mutate(good: Run, { of, set, add, call, output }: Mutation): Run {
  const resources = structuredClone(good.resources) as Registered[];
  if (of && set) {
    const found = resources.filter(({ type, name }) => type === of[0] && name === of[1]);
    assert.equal(found.length, 1, `the program has one ${of.join(" ")}`);
    const path = set[0].split("."), last = path.pop()!;
    const within = (path.length === 0 ? found[0]!.inputs : at(found[0]!.inputs, path.join("."))) as Record<string, unknown>;
    assert.notDeepEqual(within[last], set[1], "the mutation changes something");
    within[last] = set[1];
  }
  return {
    resources: add ? [...resources, add] : resources,
    calls: call ? [...good.calls, call] : good.calls,
    outputs: output ? { ...good.outputs, [output[0]]: output[1] } : good.outputs,
  };
}
