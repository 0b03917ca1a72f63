import * as web from "@pulumi/azure-native/web";
import type { Ground } from "./identities";

/** Switches publishing with a user name and a password off: what publishes has a token. */
export function refusePasswords({ group }: Ground, name: string, site: web.WebApp): void {
  new web.WebAppScmAllowed(`${name}-scm`, { resourceGroupName: group.name, name: site.name, allow: false });
  new web.WebAppFtpAllowed(`${name}-ftp`, { resourceGroupName: group.name, name: site.name, allow: false });
}
