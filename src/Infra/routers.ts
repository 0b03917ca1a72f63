import * as monitor from "@pulumi/azure-native/monitor";
import * as web from "@pulumi/azure-native/web";
import * as pulumi from "@pulumi/pulumi";
import { appSettings, type Environment } from "./environment";
import { actingAs, type Ground, type Identities } from "./identities";
import type { Network } from "./network";
import { createPlan } from "./plans";
import { refusePasswords } from "./sites";

/** One site: an entry with a host name of its own. Its workers are those of the plan, and App Service spreads clients over them. */
export interface Router {
  readonly name: string;
  readonly site: web.WebApp;
  /** Address for clients, without a slash at its end. */
  readonly url: pulumi.Output<string>;
}

export interface Routers {
  readonly plan: web.AppServicePlan;
  readonly sites: readonly Router[];
}

/** What is let in. */
export type Entry = "anybody" | { readonly frontDoorId: pulumi.Input<string> };

/**
 * How a router starts. It names itself after the site and the worker, so that it is another member than those beside it, and listens for members on the private port that App Service has given to
 * this container (`WEBSITE_PRIVATE_PORTS`, a list), on every interface, as containers on Linux must, telling the others the address that they reach.
 */
export function startCommand(name: string): string {
  return [
    "exec dotnet ShardCloud.ShardRuntime.dll --role router", // The process itself gets SIGTERM, not a shell before it.
    `--shard "${name}-$(printf %.12s "$WEBSITE_INSTANCE_ID")"`,
    "--public-url http://0.0.0.0:8080",
    "--member-url \"http://0.0.0.0:${WEBSITE_PRIVATE_PORTS%%,*}\"",
    "--ShardCloud:Member:AdvertisedUrl=\"http://$WEBSITE_PRIVATE_IP:${WEBSITE_PRIVATE_PORTS%%,*}\"",
  ].join(" ");
}

export function createRouters(
  ground: Ground, siteName: (part: string) => pulumi.Output<string>, entries: Readonly<Record<string, Entry>>,
  identities: Identities, net: Network, packageUrl: pulumi.Input<string>, environment: Environment, dependsOn: pulumi.Resource[],
): Routers {
  const { settings, group } = ground;
  const { sku, instances, instancesMax } = settings.routers;
  const plan = createPlan(ground, "routers", sku, instances, false);
  if (instancesMax > instances) followLoad(ground, plan);

  const sites = Object.entries(entries).map(([name, entry]) => {
    const site = new web.WebApp(name, {
      resourceGroupName: group.name,
      location: settings.location,
      name: siteName(name),
      kind: "app,linux",
      serverFarmId: plan.id,
      httpsOnly: true,
      clientAffinityEnabled: false, // A client resumes at any router.
      identity: actingAs(identities.members),
      keyVaultReferenceIdentity: identities.members.id,
      virtualNetworkSubnetId: net.routers.id,
      siteConfig: {
        linuxFxVersion: "DOTNETCORE|10.0",
        appCommandLine: startCommand(name),
        alwaysOn: true,
        webSocketsEnabled: true,
        http20Enabled: true,
        healthCheckPath: "/healthz",
        minTlsVersion: "1.2",
        scmMinTlsVersion: "1.2",
        ftpsState: "Disabled",
        vnetPrivatePortsCount: 1,
        ...restrictionsOf(entry),
        appSettings: appSettings({
          ...environment,
          AZURE_CLIENT_ID: identities.members.clientId,
          WEBSITE_RUN_FROM_PACKAGE: packageUrl, // Named by its content: another package is another address, and the site restarts with it.
          WEBSITE_RUN_FROM_PACKAGE_BLOB_MI_RESOURCE_ID: identities.members.id,
          PORT: "8080",
          WEBSITES_PORT: "8080",
          WEBSITES_ENABLE_APP_SERVICE_STORAGE: "false",
          WEBSITE_WARMUP_PATH: "/readyz",
          WEBSITE_WARMUP_STATUSES: "200", // Without it any answer counts, and a restart ends the old process before the new one has its map.
          MALLOC_ARENA_MAX: "1", // The C library's heaps, one for every few threads, keep some 9 MB that a router does not need; it allocates outside .NET mostly while it starts.
          WEBSITES_CONTAINER_STOP_TIME_LIMIT: "120", // The most that App Service gives; sockets are closed spread over it.
        }),
      },
    }, { dependsOn });
    refusePasswords(ground, name, site);
    return { name, site, url: pulumi.interpolate`https://${site.defaultHostName}` };
  });
  return { plan, sites };
}

/** Whom the site answers. With Front Door in front, its address alone proves nothing: everybody's Front Door has it. The header names ours. */
function restrictionsOf(entry: Entry) {
  if (entry === "anybody") return {};
  return {
    ipSecurityRestrictionsDefaultAction: "Deny",
    ipSecurityRestrictions: [{
      name: "front-door", priority: 100, action: "Allow", tag: "ServiceTag", ipAddress: "AzureFrontDoor.Backend", headers: { "x-azure-fdid": pulumi.output(entry.frontDoorId).apply((id) => [id]) },
    }],
  };
}

/** More workers while processors are busy. Fewer only one at a time and after a quiet quarter of an hour: each that goes closes its clients' sockets, which resume elsewhere. */
function followLoad({ settings, group }: Ground, plan: web.AppServicePlan): void {
  const rule = (direction: "Increase" | "Decrease", operator: string, threshold: number, window: string, cooldown: string) => ({
    metricTrigger: {
      metricName: "CpuPercentage", metricResourceUri: plan.id, metricNamespace: "Microsoft.Web/serverfarms",
      timeGrain: "PT1M", timeWindow: window, statistic: "Average" as const, timeAggregation: "Average" as const, operator: operator as "GreaterThan" | "LessThan", threshold,
    },
    scaleAction: { direction, type: "ChangeCount" as const, value: "1", cooldown },
  });
  const { instances, instancesMax } = settings.routers;
  new monitor.AutoscaleSetting("routers", {
    resourceGroupName: group.name,
    location: settings.location,
    enabled: true,
    targetResourceUri: plan.id,
    profiles: [{
      name: "load",
      capacity: { minimum: `${instances}`, maximum: `${instancesMax}`, default: `${instances}` },
      rules: [rule("Increase", "GreaterThan", 65, "PT5M", "PT5M"), rule("Decrease", "LessThan", 25, "PT15M", "PT15M")],
    }],
  });
}
