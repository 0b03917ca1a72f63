import * as authorization from "@pulumi/azure-native/authorization";
import * as resources from "@pulumi/azure-native/resources";
import * as pulumi from "@pulumi/pulumi";
import { grantAccess } from "./access";
import { createAlerts } from "./alerts";
import { bindDomain } from "./domain";
import { addressOf, memberEnvironment } from "./environment";
import { createLog } from "./eventHubs";
import { createFrontDoor, routeTo } from "./frontDoor";
import { createIdentities, type Ground } from "./identities";
import { audit, createMonitoring, diagnose, everything } from "./monitoring";
import { createNetwork } from "./network";
import { createOrchestrator } from "./orchestrator";
import { type Packages, publishOrchestrator, uploadPackages } from "./packages";
import { createShardPlans } from "./plans";
import { createPrivateEndpoints } from "./privateEndpoints";
import { createRouters } from "./routers";
import { guidOf, type Settings } from "./settings";
import { createStorage } from "./storage";
import { createWorkbook } from "./workbook";

/** What `shardcloud`, workflows and people need to know; none of it is a secret. */
export interface Outputs {
  /** Address of the management API, for `shardcloud --orchestrator` and `SHARDCLOUD_ORCHESTRATOR`. */
  readonly orchestratorUrl: pulumi.Output<string>;
  /** Whom its callers ask a token for: `SHARDCLOUD_AUDIENCE`. */
  readonly audience: string;
  readonly tenantId: string;
  /** Addresses for clients; with Front Door the first is for HTTP, the second for sockets and event streams. */
  readonly routerUrls: pulumi.Output<string>[];
  /** Version of the application that was uploaded: what to bootstrap with. */
  readonly applicationVersion: pulumi.Output<string>;
  readonly application: string;
  readonly resourceGroup: pulumi.Output<string>;
  readonly workspaceId: pulumi.Output<string>;
  /** Of the identities; their principals get app roles of the Entra application (docs/operating/deploy.md, step 4). */
  readonly principals: { orchestrator: pulumi.Output<string>; members: pulumi.Output<string>; deploy: pulumi.Output<string> };
  /** `AZURE_CLIENT_ID` and `AZURE_PREVIEW_CLIENT_ID` of GitHub's workflows. */
  readonly deployClientId: pulumi.Output<string>;
  readonly previewClientId: pulumi.Output<string>;
}

/** Everything but the shards, which the Orchestrator makes (docs/decisions/0003-pulumi-in-typescript.md). */
export function createStack(settings: Settings, packages: Packages, stack: string): Outputs {
  const group = new resources.ResourceGroup(`shardcloud-${settings.application}-${stack}`, { location: settings.location }, { protect: settings.profile === "prod" });
  const ground: Ground = { settings, group };
  const subscriptionId = authorization.getClientConfigOutput().subscriptionId;
  // Names of sites are unique in the world, and known before the sites are: the Orchestrator is told its own address.
  const own = pulumi.all([subscriptionId, group.name]).apply(([subscription, name]) => guidOf(`${subscription} ${name}`).slice(0, 8));
  const siteName = (part: string) => pulumi.interpolate`sc-${settings.application.slice(0, 30)}-${part}-${own}`;

  const identities = createIdentities(ground);
  const storage = createStorage(ground);
  const log = createLog(ground);
  const net = createNetwork(ground);
  const monitoring = createMonitoring(ground);
  const reachable = createPrivateEndpoints(ground, net, storage, log);
  const access = grantAccess(ground, identities, storage, log, net, monitoring);
  const uploads = uploadPackages(ground, storage, packages, access.forUploads);

  const shardPlans = createShardPlans(ground);
  const orchestrator = createOrchestrator(ground, siteName("orchestrator"), identities, storage, net, monitoring, {
    plans: shardPlans,
    subnetId: net.shards.id,
    subscriptionId,
    packagesUrl: pulumi.interpolate`${addressOf(storage.snapshots.name, "blob")}/${storage.packages.name}`,
    namePrefix: pulumi.interpolate`sc-${settings.application.slice(0, 8)}-${own}`,
    environment: (url) => memberEnvironment(ground, storage, log, url),
  }, [...access.forOrchestrator, ...reachable]);
  const published = publishOrchestrator(ground, orchestrator, packages.orchestrator);

  const frontDoor = settings.frontDoor ? createFrontDoor(ground) : undefined;
  const routers = createRouters(ground, siteName, frontDoor ? { http: { frontDoorId: frontDoor.frontDoorId }, sockets: "anybody" } : { router: "anybody" },
    identities, net, uploads.routerUrl, memberEnvironment(ground, storage, log, orchestrator.url), [...access.forMembers, ...reachable]);
  const [first, ...others] = routers.sites;
  const entry = frontDoor && first ? routeTo(ground, frontDoor, first) : bindDomain(ground, routers) ?? first!.url;

  diagnose("orchestrator", orchestrator.site.id, monitoring, [{ category: "FunctionAppLogs" }]);
  for (const router of routers.sites) diagnose(router.name, router.site.id, monitoring, ["AppServiceConsoleLogs", "AppServiceHTTPLogs", "AppServicePlatformLogs"].map((category) => ({ category })));
  diagnose("log", log.namespace.id, monitoring, [everything]);
  for (const name of ["leases", "snapshots"] as const) diagnose(name, pulumi.interpolate`${storage[name].id}/${name === "leases" ? "tableServices" : "blobServices"}/default`, monitoring, [audit]);
  if (frontDoor) diagnose("front-door", frontDoor.id, monitoring, [everything]);
  createAlerts(ground, monitoring, storage, log, routers, orchestrator);
  createWorkbook(ground, monitoring);

  const isReady = pulumi.all([published.id, uploads.application.id]);
  return {
    orchestratorUrl: pulumi.all([orchestrator.url, isReady]).apply(([url]) => url), // Printed when its package is there.
    audience: settings.entra.audience,
    tenantId: settings.entra.tenantId,
    routerUrls: [entry, ...others.map((router) => router.url)],
    application: settings.application,
    applicationVersion: isReady.apply(() => packages.application.version),
    resourceGroup: group.name,
    workspaceId: monitoring.workspace.id,
    principals: { orchestrator: identities.orchestrator.principalId, members: identities.members.principalId, deploy: identities.deploy.principalId },
    deployClientId: identities.deploy.clientId,
    previewClientId: identities.preview.clientId,
  };
}
