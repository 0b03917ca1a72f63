import * as cdn from "@pulumi/azure-native/cdn";
import * as pulumi from "@pulumi/pulumi";
import type { Ground } from "./identities";
import type { Router } from "./routers";

/** Front Door Standard, made before the routers that let only it in. */
export function createFrontDoor({ group }: Ground): cdn.Profile {
  return new cdn.Profile("entry", { resourceGroupName: group.name, location: "Global", sku: { name: "Standard_AzureFrontDoor" }, originResponseTimeoutSeconds: 60 });
}

/**
 * Leads HTTP to a router. No route caches: cached answers would be those of another moment, and a route with a cache drops the header that opens a WebSocket.
 * @returns Address for clients.
 */
export function routeTo({ group }: Ground, profile: cdn.Profile, router: Router): pulumi.Output<string> {
  const within = { resourceGroupName: group.name, profileName: profile.name };
  const endpoint = new cdn.AFDEndpoint("entry", { ...within, location: "Global", enabledState: "Enabled" });
  const origins = new cdn.AFDOriginGroup("routers", {
    ...within,
    sessionAffinityState: "Disabled",
    loadBalancingSettings: { sampleSize: 4, successfulSamplesRequired: 2, additionalLatencyInMilliseconds: 50 },
    healthProbeSettings: { probePath: "/readyz", probeProtocol: "Https", probeRequestType: "HEAD", probeIntervalInSeconds: 30 },
  });
  const origin = new cdn.AFDOrigin(router.name, {
    ...within,
    originGroupName: origins.name,
    hostName: router.site.defaultHostName,
    originHostHeader: router.site.defaultHostName,
    httpsPort: 443,
    priority: 1,
    weight: 1000,
    enabledState: "Enabled",
    enforceCertificateNameCheck: true,
  });
  new cdn.Route("http", {
    ...within,
    endpointName: endpoint.name,
    originGroup: { id: origins.id },
    patternsToMatch: ["/*"],
    supportedProtocols: ["Http", "Https"],
    httpsRedirect: "Enabled",
    forwardingProtocol: "HttpsOnly",
    linkToDefaultDomain: "Enabled",
    enabledState: "Enabled",
  }, { dependsOn: [origin] }); // Azure refuses a route to a group without origins.
  return pulumi.interpolate`https://${endpoint.hostName}`;
}
