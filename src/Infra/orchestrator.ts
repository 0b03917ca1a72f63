import * as web from "@pulumi/azure-native/web";
import * as pulumi from "@pulumi/pulumi";
import { addressOf, appSettings, commonEnvironment, type Environment, hostTelemetry } from "./environment";
import { actingAs, type Ground, type Identities } from "./identities";
import type { Monitoring } from "./monitoring";
import type { Network } from "./network";
import { refusePasswords } from "./sites";
import type { Storage } from "./storage";

/** The Functions app. */
export interface Orchestrator {
  readonly site: web.WebApp;
  /** Address of its management API, without a slash at its end. */
  readonly url: pulumi.Output<string>;
}

/** What the Orchestrator needs to know before it makes shards. */
export interface ShardPlaces {
  readonly plans: readonly web.AppServicePlan[];
  readonly subnetId: pulumi.Input<string>;
  readonly packagesUrl: pulumi.Input<string>;
  readonly subscriptionId: pulumi.Input<string>;
  /** Beginning of the names of their sites, which are unique in the world. */
  readonly namePrefix: pulumi.Input<string>;
  /** What every shard is told, except its own address of the Orchestrator. */
  readonly environment: (orchestratorUrl: pulumi.Input<string>) => Environment;
}

/** Exactly so: Azure takes any version, and with another one the app never starts (Azure/Azure-Functions#2666). */
const runtime = { name: "custom", version: "1.0" } as const;

export function createOrchestrator(
  ground: Ground, name: pulumi.Input<string>, identities: Identities, storage: Storage, net: Network, monitoring: Monitoring, shards: ShardPlaces, dependsOn: pulumi.Resource[],
): Orchestrator {
  const { settings, group } = ground;
  const plan = new web.AppServicePlan("orchestrator", {
    resourceGroupName: group.name,
    location: settings.location,
    kind: "functionapp",
    reserved: true,
    sku: { name: "FC1", tier: "FlexConsumption" }, // Takes one app.
  });
  const url = pulumi.interpolate`https://${name}.azurewebsites.net`;
  const environment: Environment = {
    ...commonEnvironment(ground, storage),
    ...hostTelemetry(monitoring.insights.connectionString, identities),
    AZURE_CLIENT_ID: identities.orchestrator.clientId,
    AzureWebJobsStorage__accountName: storage.tasks.name,
    AzureWebJobsStorage__credential: "managedidentity",
    AzureWebJobsStorage__clientId: identities.orchestrator.clientId,
    TASKHUB_NAME: "ShardCloud", // host.json names the hub by it.
    ShardCloud__Log__Partitions: `${settings.log.partitions}`,
    ShardCloud__Log__Identity: "deltas",
    ShardCloud__ShardPlatform: "linux-x64",
    ...placesOf(ground, identities, shards),
    ...prefixed("ShardCloud__AppService__Environment__", shards.environment(url)),
  };
  const site = new web.WebApp("orchestrator", {
    resourceGroupName: group.name,
    location: settings.location,
    name,
    kind: "functionapp,linux",
    serverFarmId: plan.id,
    httpsOnly: true,
    clientAffinityEnabled: false,
    identity: actingAs(identities.orchestrator),
    keyVaultReferenceIdentity: identities.orchestrator.id,
    virtualNetworkSubnetId: net.functions.id,
    functionAppConfig: {
      runtime,
      deployment: {
        storage: {
          type: "blobContainer",
          value: pulumi.interpolate`${addressOf(storage.tasks.name, "blob")}/${storage.deployments.name}`,
          authentication: { type: "UserAssignedIdentity", userAssignedIdentityResourceId: identities.orchestrator.id },
        },
      },
      scaleAndConcurrency: {
        instanceMemoryMB: 2048,
        maximumInstanceCount: 40, // The least that Flex Consumption takes; orchestrations are few.
        // Without these the first call after a quiet time waits for a start, and a timer may come late.
        alwaysReady: [{ name: "http", instanceCount: 1 }, { name: "durable", instanceCount: 1 }],
      },
    },
    siteConfig: { minTlsVersion: "1.2", scmMinTlsVersion: "1.2", http20Enabled: true, appSettings: appSettings(environment) },
  }, { dependsOn, transformations: [withoutFramework] });
  refusePasswords(ground, "orchestrator", site);
  return { site, url };
}

/** The SDK adds a .NET version to every site, which Flex Consumption refuses in some regions (pulumi/pulumi-azure-native#4168), as it does `ftpsState` and `linuxFxVersion`. */
function withoutFramework({ props, opts }: pulumi.ResourceTransformationArgs): pulumi.ResourceTransformationResult {
  const siteConfig = pulumi.output(props.siteConfig as Record<string, unknown>).apply(({ netFrameworkVersion: _, localMySqlEnabled: __, ...config }) => config);
  return { props: { ...props, siteConfig }, opts };
}

/** Section `ShardCloud:AppService` (docs/operating/app-service.md). */
function placesOf({ settings, group }: Ground, identities: Identities, shards: ShardPlaces): Environment {
  const plans = Object.fromEntries(shards.plans.map((plan, index) => [`ShardCloud__AppService__Plans__${index}`, plan.id]));
  return {
    ShardCloud__AppService__SubscriptionId: shards.subscriptionId,
    ShardCloud__AppService__ResourceGroup: group.name,
    ShardCloud__AppService__Location: settings.location,
    ...plans,
    ShardCloud__AppService__Subnet: shards.subnetId,
    ShardCloud__AppService__MembersIdentity: identities.members.id,
    ShardCloud__AppService__MembersClientId: identities.members.clientId,
    ShardCloud__AppService__PackagesUrl: shards.packagesUrl,
    ShardCloud__AppService__NamePrefix: shards.namePrefix,
  };
}

function prefixed(prefix: string, environment: Environment): Environment {
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [prefix + name, value]));
}
