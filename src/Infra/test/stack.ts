import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { before, describe, test } from "node:test";
import { at, type Registered, type Run, settingsOf } from "../policy";
import { roles } from "../roles";
import { startCommand } from "../routers";
import { run } from "./run";

/** Names of all resources of a type, in order. */
function named({ resources }: Run, type: string): string[] {
  return resources.filter((one) => one.type === type || one.type === `azure-native:${type}`).map((one) => one.name).sort();
}

function find({ resources }: Run, type: string, name: string): Registered {
  const found = resources.filter((one) => one.type === `azure-native:${type}` && one.name === name);
  assert.equal(found.length, 1, `${type} ${name}: ${found.length}`);
  return found[0]!;
}

function settings(run: Run, site: string): Record<string, string> {
  return Object.fromEntries(settingsOf(find(run, "web:WebApp", site)).map(({ name, value }) => [name, value]));
}

const inGroup = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/group";

describe("stack dev", () => {
  let dev: Run;
  before(async () => { dev = await run("dev"); });

  test("everything is there, and nothing that is not named here", () => {
    const all: Record<string, string[]> = {};
    for (const { type, name } of dev.resources) (all[type.replace("azure-native:", "")] ??= []).push(name);
    for (const names of Object.values(all)) names.sort();
    assert.deepEqual(all, {
      "resources:ResourceGroup": ["shardcloud-rooms-test"],
      "managedidentity:UserAssignedIdentity": ["deploy", "members", "orchestrator", "preview"],
      "storage:StorageAccount": ["scleases", "scsnapshots", "sctasks"],
      "storage:ManagementPolicy": ["forgotten-uploads"],
      "storage:BlobContainer": ["dataprotection", "deployments", "packages", "shardmap", "snapshots"],
      "eventhub:Namespace": ["log"],
      "eventhub:EventHub": ["control", "deltas"],
      "network:VirtualNetwork": ["network"],
      "network:Subnet": ["endpoints", "functions", "routers", "shards"],
      "operationalinsights:Workspace": ["logs"],
      "applicationinsights:Component": ["insights"],
      "applicationinsights:Workbook": ["workbook"],
      "authorization:RoleAssignment": named(dev, "authorization:RoleAssignment"),
      "web:AppServicePlan": ["orchestrator", "routers", "shards-1"],
      "web:WebApp": ["orchestrator", "router"],
      "web:WebAppScmAllowed": ["orchestrator-scm", "router-scm"],
      "web:WebAppFtpAllowed": ["orchestrator-ftp", "router-ftp"],
      "command:local:Command": ["application-package", "orchestrator-package", "router-package"],
      "monitor:DiagnosticSetting": ["diagnostics-leases", "diagnostics-log", "diagnostics-orchestrator", "diagnostics-router", "diagnostics-snapshots"],
      "monitor:ActionGroup": ["people"],
      "monitor:MetricAlert": ["lease-store", "log-throttled", "router-fails"],
      "monitor:ScheduledQueryRule": ["orchestrator-fails", "orchestrator-silent", "shard-lost"],
    });
  });

  test("who may do what", () => {
    assert.deepEqual(named(dev, "authorization:RoleAssignment"), [
      "deploy-blobDataContributor-packages", "deploy-contributor-group",
      "members-blobDataContributor-dataprotection", "members-blobDataContributor-shardmap", "members-blobDataContributor-snapshots", "members-blobDataReader-packages",
      "members-eventHubsDataReceiver-control", "members-eventHubsDataReceiver-deltas", "members-eventHubsDataSender-control", "members-eventHubsDataSender-deltas",
      "members-tableDataContributor-leases",
      "orchestrator-blobDataContributor-snapshots", "orchestrator-blobDataOwner-tasks", "orchestrator-managedIdentityOperator-members", "orchestrator-monitoringMetricsPublisher-insights",
      "orchestrator-networkContributor-shards", "orchestrator-queueDataContributor-tasks", "orchestrator-tableDataContributor-leases", "orchestrator-tableDataContributor-tasks",
      "orchestrator-websiteContributor-group", "preview-reader-group",
    ]);
    const ids = dev.resources.filter(({ type }) => type.endsWith(":RoleAssignment")).map(({ inputs }) => String(inputs.roleAssignmentName));
    assert.equal(new Set(ids).size, ids.length);
    for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    const makesSites = find(dev, "authorization:RoleAssignment", "orchestrator-websiteContributor-group").inputs;
    assert.deepEqual([makesSites.scope, makesSites.principalId, makesSites.principalType], [inGroup, "orchestrator-principal", "ServicePrincipal"]);
    assert.ok(String(makesSites.roleDefinitionId).endsWith(roles.websiteContributor));
  });

  test("storage: leases zone-redundant in an account of their own", () => {
    assert.deepEqual(["leases", "tasks", "snapshots"].map((name) => at(find(dev, "storage:StorageAccount", `sc${name}`).inputs, "sku.name")), ["Standard_ZRS", "Standard_LRS", "Standard_LRS"]);
    assert.equal(find(dev, "storage:BlobContainer", "deployments").inputs.accountName, "sctasks");
    assert.equal(find(dev, "storage:BlobContainer", "packages").inputs.accountName, "scsnapshots");
    assert.deepEqual(at(find(dev, "storage:ManagementPolicy", "forgotten-uploads").inputs, "policy.rules.0.definition.filters.prefixMatch"), ["packages/rooms/incoming/"]);
  });

  test("log: Standard, partitions as set, one of control records, no more consumer groups", () => {
    assert.deepEqual(find(dev, "eventhub:Namespace", "log").inputs.sku, { name: "Standard", tier: "Standard", capacity: 1 });
    assert.deepEqual(["deltas", "control"].map((hub) => find(dev, "eventhub:EventHub", hub).inputs.partitionCount), [16, 1]);
    assert.deepEqual(find(dev, "eventhub:EventHub", "deltas").inputs.retentionDescription, { cleanupPolicy: "Delete", retentionTimeInHours: 24 });
  });

  test("network: subnets do not overlap, and are delegated to who uses them", () => {
    const subnets = ["routers", "shards", "functions", "endpoints"].map((name) => find(dev, "network:Subnet", name).inputs);
    assert.deepEqual(subnets.map((subnet) => subnet.addressPrefix), ["10.40.1.0/24", "10.40.2.0/23", "10.40.4.0/24", "10.40.5.0/24"]);
    assert.deepEqual(subnets.map((subnet) => at(subnet, "delegations.0.serviceName")), ["Microsoft.Web/serverFarms", "Microsoft.Web/serverFarms", "Microsoft.App/environments", undefined]);
  });

  test("the Orchestrator: Flex Consumption with a custom handler, always ready", () => {
    assert.deepEqual(find(dev, "web:AppServicePlan", "orchestrator").inputs.sku, { name: "FC1", tier: "FlexConsumption" });
    assert.equal(find(dev, "web:AppServicePlan", "orchestrator").inputs.reserved, true);
    const { inputs } = find(dev, "web:WebApp", "orchestrator");
    assert.deepEqual(at(inputs, "functionAppConfig.runtime"), { name: "custom", version: "1.0" });
    assert.deepEqual(at(inputs, "functionAppConfig.scaleAndConcurrency.alwaysReady"), [{ name: "http", instanceCount: 1 }, { name: "durable", instanceCount: 1 }]);
    assert.deepEqual(at(inputs, "functionAppConfig.deployment.storage"), {
      type: "blobContainer", value: "https://sctasks.blob.core.windows.net/deployments",
      authentication: { type: "UserAssignedIdentity", userAssignedIdentityResourceId: `${inGroup}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/orchestrator` },
    });
    assert.equal(inputs.virtualNetworkSubnetId, `${inGroup}/providers/Microsoft.Network/virtualNetworks/network/subnets/functions`);
    assert.match(String(inputs.name), /^sc-rooms-orchestrator-[0-9a-f]{8}$/);
  });

  test("what the Orchestrator is told", () => {
    const told = settings(dev, "orchestrator");
    const url = `https://${find(dev, "web:WebApp", "orchestrator").inputs.name}.azurewebsites.net`;
    const named = Object.fromEntries(Object.entries(told).filter(([name]) => !name.startsWith("ShardCloud__AppService__Environment__")));
    assert.deepEqual(named, {
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: "ClientId=22222222-2222-2222-2222-222222222222;Authorization=AAD",
      APPLICATIONINSIGHTS_CONNECTION_STRING: "InstrumentationKey=33333333-3333-3333-3333-333333333333;IngestionEndpoint=https://westeurope.in.applicationinsights.azure.com/",
      AZURE_CLIENT_ID: "22222222-2222-2222-2222-222222222222",
      AzureWebJobsStorage__accountName: "sctasks",
      AzureWebJobsStorage__clientId: "22222222-2222-2222-2222-222222222222",
      AzureWebJobsStorage__credential: "managedidentity",
      ShardCloud__AppService__Location: "westeurope",
      ShardCloud__AppService__MembersClientId: "22222222-2222-2222-2222-222222222222",
      ShardCloud__AppService__MembersIdentity: `${inGroup}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/members`,
      ShardCloud__AppService__NamePrefix: told.ShardCloud__AppService__NamePrefix,
      ShardCloud__AppService__PackagesUrl: "https://scsnapshots.blob.core.windows.net/packages",
      ShardCloud__AppService__Plans__0: `${inGroup}/providers/Microsoft.Web/serverfarms/shards-1`,
      ShardCloud__AppService__ResourceGroup: "shardcloud-rooms-test",
      ShardCloud__AppService__Subnet: `${inGroup}/providers/Microsoft.Network/virtualNetworks/network/subnets/shards`,
      ShardCloud__AppService__SubscriptionId: "11111111-1111-1111-1111-111111111111",
      ShardCloud__Application: "rooms",
      ShardCloud__Auth__Entra__Audience: "api://66666666-6666-6666-6666-666666666666",
      ShardCloud__Auth__Entra__ClientId: "66666666-6666-6666-6666-666666666666",
      ShardCloud__Auth__Entra__TenantId: "55555555-5555-5555-5555-555555555555",
      ShardCloud__Log__Identity: "deltas",
      ShardCloud__Log__Partitions: "16",
      ShardCloud__ShardPlatform: "linux-x64",
      ShardCloud__Storage__BlobUri: "https://scsnapshots.blob.core.windows.net",
      ShardCloud__Storage__TableUri: "https://scleases.table.core.windows.net",
      TASKHUB_NAME: "ShardCloud",
    });
    assert.match(told.ShardCloud__AppService__NamePrefix!, /^[a-z][a-z0-9-]{0,18}[a-z0-9]$/);
    const shards = Object.fromEntries(Object.entries(told).filter(([name]) => name.startsWith("ShardCloud__AppService__Environment__")).map(([name, value]) => [name.slice("ShardCloud__AppService__Environment__".length), value]));
    assert.deepEqual(shards, membersAreTold(url));
  });

  const membersAreTold = (url: string): Record<string, string> => ({
    ShardCloud__Application: "rooms",
    ShardCloud__Auth__Entra__Audience: "api://66666666-6666-6666-6666-666666666666",
    ShardCloud__Auth__Entra__ClientId: "66666666-6666-6666-6666-666666666666",
    ShardCloud__Auth__Entra__TenantId: "55555555-5555-5555-5555-555555555555",
    ShardCloud__Lease__Length: "00:00:15",
    ShardCloud__Log__BootstrapServers: "log.servicebus.windows.net:9093",
    ShardCloud__Log__ControlHub: "control",
    ShardCloud__Log__Hub: "deltas",
    ShardCloud__Log__Security: "entra",
    ShardCloud__Log__ThroughputUnits: "1",
    ShardCloud__Orchestrator__Url: `${url}/`,
    ShardCloud__Public__TrustedHops: "1",
    ShardCloud__Storage__BlobUri: "https://scsnapshots.blob.core.windows.net",
    ShardCloud__Storage__TableUri: "https://scleases.table.core.windows.net",
  });

  test("a router: always on, sockets, its own private port, a package that its identity reads", () => {
    const { inputs } = find(dev, "web:WebApp", "router");
    const { appSettings: _, localMySqlEnabled: __, netFrameworkVersion: ___, ...config } = inputs.siteConfig as Record<string, unknown>; // The last two are the SDK's own.
    assert.deepEqual(config, {
      linuxFxVersion: "DOTNETCORE|10.0", appCommandLine: startCommand("router"), alwaysOn: true, webSocketsEnabled: true, http20Enabled: true, healthCheckPath: "/healthz",
      minTlsVersion: "1.2", scmMinTlsVersion: "1.2", ftpsState: "Disabled", vnetPrivatePortsCount: 1,
    });
    assert.equal(inputs.virtualNetworkSubnetId, `${inGroup}/providers/Microsoft.Network/virtualNetworks/network/subnets/routers`);
    const { PORT, WEBSITES_PORT, WEBSITES_ENABLE_APP_SERVICE_STORAGE, WEBSITE_WARMUP_PATH, WEBSITE_WARMUP_STATUSES, AZURE_CLIENT_ID, WEBSITE_RUN_FROM_PACKAGE, WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID, MALLOC_ARENA_MAX, WEBSITES_CONTAINER_STOP_TIME_LIMIT, ...rest } = settings(dev, "router");
    assert.equal(AZURE_CLIENT_ID, "22222222-2222-2222-2222-222222222222");
    assert.equal(WEBSITE_RUN_FROM_PACKAGE, "https://scsnapshots.blob.core.windows.net/packages/routers/bbbbbbbbbbbbbbbb.zip");
    assert.equal(WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID, `${inGroup}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/members`);
    assert.deepEqual([PORT, WEBSITES_PORT, WEBSITES_ENABLE_APP_SERVICE_STORAGE, WEBSITE_WARMUP_PATH, WEBSITE_WARMUP_STATUSES, MALLOC_ARENA_MAX, WEBSITES_CONTAINER_STOP_TIME_LIMIT], ["8080", "8080", "false", "/readyz", "200", "1", "120"]);
    assert.deepEqual(rest, membersAreTold(`https://${find(dev, "web:WebApp", "orchestrator").inputs.name}.azurewebsites.net`));
  });

  test("plans: those of shards scale site by site, that of routers as a whole", () => {
    const plan = (name: string) => find(dev, "web:AppServicePlan", name).inputs;
    assert.deepEqual([plan("shards-1").perSiteScaling, plan("routers").perSiteScaling], [true, false]);
    assert.deepEqual([plan("shards-1").sku, plan("routers").sku], [{ name: "P0v3", tier: "Premium0V3", capacity: 2 }, { name: "P0v3", tier: "Premium0V3", capacity: 1 }]);
    assert.deepEqual([plan("shards-1").reserved, plan("routers").reserved], [true, true]);
  });

  test("packages go up by content and by version, the Functions app's by its own publication", () => {
    const command = (name: string) => dev.resources.find((one) => one.type === "command:local:Command" && one.name === name)!.inputs;
    assert.equal(command("router-package").create, `node scripts/upload-blob.mjs scsnapshots packages "routers/bbbbbbbbbbbbbbbb.zip" "/packages/router.zip" ${"b".repeat(64)}`);
    assert.equal(command("application-package").create, `node scripts/upload-blob.mjs scsnapshots packages "rooms/1.0.0.zip" "/packages/application.zip" ${"c".repeat(64)} command=%5B%22dotnet%22%2C%22Rooms.dll%22%5D`);
    assert.match(String(command("orchestrator-package").create), /^node scripts\/publish-functions\.mjs shardcloud-rooms-test sc-rooms-orchestrator-[0-9a-f]{8} "\/packages\/orchestrator.zip"$/);
    assert.deepEqual(command("orchestrator-package").triggers, ["a".repeat(64)]);
  });

  test("rules say what is wrong, and tell the same people", () => {
    const rules = dev.resources.filter(({ type }) => type.endsWith(":MetricAlert") || type.endsWith(":ScheduledQueryRule"));
    assert.equal(rules.length, 6);
    for (const { inputs, name } of rules) {
      assert.ok(String(inputs.description).length > 30, name);
      assert.match(JSON.stringify(inputs.actions), /Test\/people/, name);
    }
    assert.deepEqual(at(find(dev, "monitor:MetricAlert", "log-throttled").inputs, "criteria.allOf.0.metricName"), "ThrottledRequests");
    assert.match(String(at(find(dev, "monitor:ScheduledQueryRule", "shard-lost").inputs, "criteria.allOf.0.query")), /Name == 'ReplaceShard'/);
    const functions = rules.flatMap(({ inputs }) => [...JSON.stringify(inputs.criteria).matchAll(/AppRequests \| where Name == '(\w+)'/g)].map((match) => match[1]!));
    assert.deepEqual(functions.sort(), ["Monitor", "ReplaceShard"]);
    for (const name of functions) assert.ok(existsSync(`../Orchestrator/Functions/${name}/function.json`), name);
  });

  test("what it says at the end", () => {
    const name = find(dev, "web:WebApp", "orchestrator").inputs.name, router = find(dev, "web:WebApp", "router").inputs.name;
    assert.deepEqual(dev.outputs, {
      orchestratorUrl: `https://${name}.azurewebsites.net`, routerUrls: [`https://${router}.azurewebsites.net`], audience: "api://66666666-6666-6666-6666-666666666666",
      tenantId: "55555555-5555-5555-5555-555555555555", application: "rooms", applicationVersion: "1.0.0", resourceGroup: "shardcloud-rooms-test", workspaceId: `${inGroup}/providers/Test/logs`,
      principals: { orchestrator: "orchestrator-principal", members: "members-principal", deploy: "deploy-principal" }, deployClientId: "22222222-2222-2222-2222-222222222222",
      previewClientId: "22222222-2222-2222-2222-222222222222",
    });
    assert.deepEqual(dev.calls, ["azure-native:authorization:getClientConfig"]);
  });
});

describe("stack prod", () => {
  let prod: Run;
  before(async () => {
    prod = await run("prod with everything");
  });

  test("storage and log have private endpoints, with names in zones that the network sees", () => {
    const endpoints = ["leases-table", "log", "snapshots-blob", "tasks-blob", "tasks-queue", "tasks-table"];
    assert.deepEqual(named(prod, "network:PrivateEndpoint"), endpoints);
    assert.deepEqual(named(prod, "network:PrivateDnsZoneGroup"), endpoints);
    assert.deepEqual(named(prod, "privatedns:PrivateZone"), ["zone-blob", "zone-namespace", "zone-queue", "zone-table"]);
    assert.deepEqual(named(prod, "privatedns:VirtualNetworkLink"), named(prod, "privatedns:PrivateZone"));
    const table = find(prod, "network:PrivateEndpoint", "leases-table").inputs;
    assert.deepEqual(at(table, "privateLinkServiceConnections.0"), { name: "leases-table", privateLinkServiceId: `${inGroup}/providers/Test/scleases`, groupIds: ["table"] });
    assert.equal(at(find(prod, "network:PrivateDnsZoneGroup", "leases-table").inputs, "privateDnsZoneConfigs.0.privateDnsZoneId"), `${inGroup}/providers/Test/zone-table`);
  });

  test("zone-redundant, all of it", () => {
    for (const name of ["leases", "tasks", "snapshots"]) assert.equal(at(find(prod, "storage:StorageAccount", `sc${name}`).inputs, "sku.name"), "Standard_ZRS");
    for (const name of ["routers", "shards-1", "shards-2"]) assert.equal(find(prod, "web:AppServicePlan", name).inputs.zoneRedundant, true);
    assert.deepEqual([settings(prod, "orchestrator").ShardCloud__AppService__Plans__0, settings(prod, "orchestrator").ShardCloud__AppService__Plans__1],
      [`${inGroup}/providers/Microsoft.Web/serverfarms/shards-1`, `${inGroup}/providers/Microsoft.Web/serverfarms/shards-2`]);
  });

  test("behind Front Door HTTP, beside it sockets", () => {
    assert.deepEqual(named(prod, "web:WebApp"), ["http", "orchestrator", "sockets"]);
    const http = find(prod, "web:WebApp", "http").inputs, sockets = find(prod, "web:WebApp", "sockets").inputs;
    assert.deepEqual(at(http, "siteConfig.ipSecurityRestrictions"), [
      { name: "front-door", priority: 100, action: "Allow", tag: "ServiceTag", ipAddress: "AzureFrontDoor.Backend", headers: { "x-azure-fdid": ["44444444-4444-4444-4444-444444444444"] } }]);
    assert.equal(at(sockets, "siteConfig.ipSecurityRestrictions"), undefined);
    assert.equal(http.serverFarmId, sockets.serverFarmId);
    assert.equal(find(prod, "cdn:AFDOrigin", "http").inputs.hostName, `${http.name}.azurewebsites.net`);
    assert.equal(find(prod, "cdn:Route", "http").inputs.cacheConfiguration, undefined);
    assert.deepEqual(prod.outputs.routerUrls, ["https://entry.z01.azurefd.net", `https://${sockets.name}.azurewebsites.net`]);
    assert.match(String(at(http, "siteConfig.appCommandLine")), /--shard "http-\$/);
    assert.match(String(at(sockets, "siteConfig.appCommandLine")), /--shard "sockets-\$/);
  });

  test("routers follow their load, in the plan that serves every entry", () => {
    const { inputs } = find(prod, "monitor:AutoscaleSetting", "routers");
    assert.equal(inputs.targetResourceUri, find(prod, "web:WebApp", "http").inputs.serverFarmId);
    assert.deepEqual(at(inputs, "profiles.0.capacity"), { minimum: "2", maximum: "6", default: "2" });
    assert.deepEqual((at(inputs, "profiles.0.rules") as unknown[]).map((rule) => at(rule, "scaleAction.direction")), ["Increase", "Decrease"]);
  });

  test("GitHub logs in by repository and environment", () => {
    assert.deepEqual(named(prod, "managedidentity:FederatedIdentityCredential"), ["github-preview", "github-production", "github-production-waves"]);
    const { inputs } = find(prod, "managedidentity:FederatedIdentityCredential", "github-production");
    assert.deepEqual([inputs.subject, inputs.resourceName], ["repo:owner/name:environment:production", "deploy"]);
    assert.equal(find(prod, "managedidentity:FederatedIdentityCredential", "github-preview").inputs.resourceName, "preview");
  });

  test("with a collector there are rules and charts of what members measure", () => {
    assert.deepEqual(named(prod, "monitor:ScheduledQueryRule"), ["log-lag", "orchestrator-fails", "orchestrator-silent", "requests-parked", "shard-lost"]);
    assert.equal(settings(prod, "sockets").OTEL_EXPORTER_OTLP_ENDPOINT, "http://collector:4317");
    const items = (JSON.parse(String(find(prod, "applicationinsights:Workbook", "workbook").inputs.serializedData)) as { items: unknown[] }).items;
    assert.equal(items.length, 8);
    assert.deepEqual(at(find(prod, "monitor:ActionGroup", "people").inputs, "emailReceivers.0.emailAddress"), "a@example.com");
  });

  test("a lease of a minute is written as one; a person who deploys may upload", () => {
    assert.equal(settings(prod, "http").ShardCloud__Lease__Length, "00:01:00");
    const { inputs } = find(prod, "authorization:RoleAssignment", "uploader-77777777-blobDataContributor-packages");
    assert.deepEqual([inputs.principalId, inputs.principalType, inputs.scope], ["77777777-7777-7777-7777-777777777777", "User", `${inGroup}/providers/Test/packages`]);
  });
});

describe("stack with a domain", () => {
  test("the name is bound, then its certificate", async () => {
    const all = await run("dev with a domain");
    const router = find(all, "web:WebApp", "router").inputs.name;
    assert.equal(find(all, "web:WebAppHostNameBinding", "domain").inputs.hostName, "app.example.com");
    assert.equal(find(all, "web:Certificate", "domain").inputs.canonicalName, "app.example.com");
    assert.equal(all.resources.find((one) => one.name === "bind-certificate")!.inputs.create,
      `az webapp config ssl bind --resource-group shardcloud-rooms-test --name ${router} --hostname app.example.com --certificate-thumbprint 0123456789ABCDEF0123456789ABCDEF01234567 --ssl-type SNI --output none`);
    assert.deepEqual(all.outputs.routerUrls, ["https://app.example.com"]);
  });
});

describe("start command of a router", { skip: process.platform === "win32" && "App Service runs it in a POSIX shell" }, () => {
  test("a shell makes of it the name of one worker, the first private port and the address of the container", () => {
    const run = spawnSync("sh", ["-c", startCommand("http").replace("exec dotnet", "printf '%s\\n'")], {
      encoding: "utf8", env: { PATH: process.env.PATH, WEBSITE_INSTANCE_ID: "0123456789abcdef".repeat(4), WEBSITE_PRIVATE_IP: "10.40.1.7", WEBSITE_PRIVATE_PORTS: "20134,20135" },
    });
    assert.deepEqual(run.stdout.trim().split("\n"), [
      "ShardCloud.ShardRuntime.dll", "--role", "router", "--shard", "http-0123456789ab", "--public-url", "http://0.0.0.0:8080", "--member-url", "http://0.0.0.0:20134",
      "--ShardCloud:Member:AdvertisedUrl=http://10.40.1.7:20134",
    ]);
  });
});
