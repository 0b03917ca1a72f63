import * as web from "@pulumi/azure-native/web";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Ground } from "./identities";
import type { Routers } from "./routers";

/**
 * A host name of your own with a certificate that Azure makes and renews. Three steps, since Azure wants the name bound before it makes the certificate, and binds the certificate by changing that same
 * resource, which a second Pulumi resource must not own: the last one is a command.
 */
export function bindDomain({ settings, group }: Ground, { plan, sites }: Routers): pulumi.Output<string> | undefined {
  const router = sites[0];
  if (!settings.domain || !router) return undefined;
  const binding = new web.WebAppHostNameBinding("domain", {
    resourceGroupName: group.name,
    name: router.site.name,
    hostName: settings.domain,
    hostNameType: "Verified",
    siteName: router.site.name,
  }, { ignoreChanges: ["sslState", "thumbprint"] });
  const certificate = new web.Certificate("domain", {
    resourceGroupName: group.name,
    location: settings.location,
    canonicalName: settings.domain,
    serverFarmId: plan.id,
  }, { dependsOn: [binding] });
  const bound = new command.local.Command("bind-certificate", {
    create: pulumi.interpolate`az webapp config ssl bind --resource-group ${group.name} --name ${router.site.name} --hostname ${settings.domain} --certificate-thumbprint ${certificate.thumbprint} --ssl-type SNI --output none`,
    triggers: [certificate.thumbprint],
  });
  return bound.id.apply(() => `https://${settings.domain}`);
}
