import * as pulumi from "@pulumi/pulumi";
import { readPackages } from "./packages";
import { readSettings } from "./settings";
import { createStack } from "./stack";

const config = new pulumi.Config("shardcloud");
const settings = readSettings({ get: (key) => parsed(config.get(key)) }, new pulumi.Config("azure-native").get("location"));

/** `pulumi stack output NAME`; what each is: stack.ts. */
export const { orchestratorUrl, audience, tenantId, routerUrls, application, applicationVersion, resourceGroup, workspaceId, principals, deployClientId, previewClientId } =
  createStack(settings, readPackages(settings, __dirname), pulumi.getStack());

/** Pulumi keeps lists and objects as JSON. */
function parsed(text: string | undefined): unknown {
  return text !== undefined && /^[[{]/.test(text) ? JSON.parse(text) : text;
}
