import * as pulumi from "@pulumi/pulumi";
import { type Registered, type Run } from "../policy";
import { readSettings, type Settings } from "../settings";
import type { Packages } from "../packages";

const resources: Registered[] = [];
const calls: string[] = [];
const subscription = "11111111-1111-1111-1111-111111111111";
const inGroup = `/subscriptions/${subscription}/resourceGroups/group`;

/** What Azure would answer, as far as other resources read it. */
const outputsOf: Readonly<Record<string, (name: string) => Record<string, unknown>>> = {
  "azure-native:managedidentity:UserAssignedIdentity": (name) => ({ principalId: `${name}-principal`, clientId: "22222222-2222-2222-2222-222222222222" }),
  "azure-native:applicationinsights:Component": () => ({ connectionString: "InstrumentationKey=33333333-3333-3333-3333-333333333333;IngestionEndpoint=https://westeurope.in.applicationinsights.azure.com/" }),
  "azure-native:cdn:Profile": () => ({ frontDoorId: "44444444-4444-4444-4444-444444444444" }),
  "azure-native:cdn:AFDEndpoint": (name) => ({ hostName: `${name}.z01.azurefd.net` }),
  "azure-native:web:Certificate": () => ({ thumbprint: "0123456789ABCDEF0123456789ABCDEF01234567" }),
};

/** Types whose ids others are told, so that a shard host would accept them. */
const idsOf: Readonly<Record<string, string>> = {
  "azure-native:web:AppServicePlan": "Microsoft.Web/serverfarms",
  "azure-native:network:Subnet": "Microsoft.Network/virtualNetworks/network/subnets",
  "azure-native:managedidentity:UserAssignedIdentity": "Microsoft.ManagedIdentity/userAssignedIdentities",
};

void pulumi.runtime.setMocks({
  newResource({ type, name, inputs }) {
    resources.push({ type, name, inputs });
    const own = inputs.name ?? inputs.containerName ?? inputs.eventHubName ?? name;
    const host = type === "azure-native:web:WebApp" ? { defaultHostName: `${own}.azurewebsites.net` } : {};
    const id = type === "azure-native:resources:ResourceGroup" ? inGroup : `${inGroup}/providers/${idsOf[type] ?? "Test"}/${name}`;
    return { id, state: { ...inputs, name: own, ...host, ...outputsOf[type]?.(name) } };
  },
  call({ token }) {
    calls.push(token);
    return { subscriptionId: subscription, tenantId: "", clientId: "", objectId: "" };
  },
}, "shardcloud", "test", false);

/** Zip files that nobody reads here. */
export const packages: Packages = {
  orchestrator: { path: "/packages/orchestrator.zip", sha256: "a".repeat(64) },
  router: { path: "/packages/router.zip", sha256: "b".repeat(64) },
  application: { path: "/packages/application.zip", sha256: "c".repeat(64), version: "1.0.0", command: "%5B%22dotnet%22%2C%22Rooms.dll%22%5D" },
};

/** What a stack needs to be told at least. */
export const least: Readonly<Record<string, unknown>> = {
  location: "westeurope",
  entra: { tenantId: "55555555-5555-5555-5555-555555555555", clientId: "66666666-6666-6666-6666-666666666666" },
};

/** Settings from these and the least that is needed. */
export function settingsFrom(given: Readonly<Record<string, unknown>> = {}): Settings {
  const all: Readonly<Record<string, unknown>> = { ...least, ...given };
  return readSettings({ get: (key) => all[key] });
}

/** Stacks that differ in all that a stack may choose. */
export const variants = {
  "dev": {},
  "dev with a domain": { domain: "app.example.com" },
  "prod": { profile: "prod" },
  "prod with everything": {
    profile: "prod", application: "shop", frontDoor: true, shards: { plans: 2 }, routers: { instancesMax: 6 }, alerts: { emails: ["a@example.com"] }, github: { repository: "owner/name" },
    telemetry: { otlpEndpoint: "http://collector:4317" }, uploaders: ["77777777-7777-7777-7777-777777777777"], leaseSeconds: 60,
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, unknown>>>>;
export type Variant = keyof typeof variants;

const runs = new Map<Variant, Run>();

/** Runs the program with these settings, once, and answers with all that it registered. One after the other: what is registered goes into one list. */
export async function run(variant: Variant): Promise<Run> {
  const known = runs.get(variant);
  if (known) return known;
  resources.length = calls.length = 0;
  const { createStack } = await import("../stack"); // After the mocks: a resource that is made before them would ask for an engine.
  const outputs = await promiseOf(createStack(settingsFrom(variants[variant]), packages, "test"));
  await registered();
  const done = { resources: [...resources], calls: [...calls], outputs: outputs as Record<string, unknown> };
  runs.set(variant, done);
  return done;
}

/** Resources that no output depends on are still on their way: done is when none has come for a while of turns. */
async function registered(): Promise<void> {
  for (let known = -1, quiet = 0; quiet < 50; quiet = known === resources.length ? quiet + 1 : 0) {
    known = resources.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function promiseOf<T>(value: T): Promise<unknown> {
  return new Promise((resolve) => pulumi.output(value).apply((resolved) => resolve(resolved)));
}
