import * as managedidentity from "@pulumi/azure-native/managedidentity";
import * as resources from "@pulumi/azure-native/resources";
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "./settings";

/** What a part needs to know of the group that everything is in. */
export interface Ground {
  readonly settings: Settings;
  readonly group: resources.ResourceGroup;
}

/** Who acts: nobody has a key or a password. */
export interface Identities {
  /** The Functions app. */
  readonly orchestrator: managedidentity.UserAssignedIdentity;
  /** Routers and shards, which the Orchestrator makes with it. */
  readonly members: managedidentity.UserAssignedIdentity;
  /** GitHub's workflows, which Entra knows by their repository and environment. */
  readonly deploy: managedidentity.UserAssignedIdentity;
}

const githubIssuer = "https://token.actions.githubusercontent.com";

export function createIdentities({ settings, group }: Ground): Identities {
  const create = (name: string) => new managedidentity.UserAssignedIdentity(name, { resourceGroupName: group.name, location: settings.location });
  const identities = { orchestrator: create("orchestrator"), members: create("members"), deploy: create("deploy") };
  let previous: managedidentity.FederatedIdentityCredential | undefined;
  for (const environment of settings.github?.environments ?? []) {
    // One after the other: Azure refuses credentials that are written to one identity at the same time.
    previous = new managedidentity.FederatedIdentityCredential(`github-${environment}`, {
      resourceGroupName: group.name,
      resourceName: identities.deploy.name,
      federatedIdentityCredentialResourceName: `github-${environment}`,
      issuer: githubIssuer,
      subject: `repo:${settings.github!.repository}:environment:${environment}`,
      audiences: ["api://AzureADTokenExchange"],
    }, { dependsOn: previous ? [previous] : [] });
  }
  return identities;
}

/** The `identity` of a site that acts as these. */
export function actingAs(...identities: managedidentity.UserAssignedIdentity[]): { type: "UserAssigned"; userAssignedIdentities: pulumi.Output<string>[] } {
  return { type: "UserAssigned", userAssignedIdentities: identities.map((identity) => identity.id) };
}
