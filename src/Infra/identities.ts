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
  /** GitHub's workflows on `main`, which Entra knows by their repository and environment. */
  readonly deploy: managedidentity.UserAssignedIdentity;
  /** GitHub's workflows on pull requests: whoever may open one may run what they like as this, so it can only read. */
  readonly preview: managedidentity.UserAssignedIdentity;
}

const githubIssuer = "https://token.actions.githubusercontent.com";

export function createIdentities({ settings, group }: Ground): Identities {
  const create = (name: string) => new managedidentity.UserAssignedIdentity(name, { resourceGroupName: group.name, location: settings.location });
  const identities = { orchestrator: create("orchestrator"), members: create("members"), deploy: create("deploy"), preview: create("preview") };
  if (!settings.github) return identities;
  const { repository, environments } = settings.github;
  let previous: managedidentity.FederatedIdentityCredential | undefined;
  for (const environment of [...environments, "preview"]) {
    // One after the other: Azure refuses credentials that are written to one identity at the same time.
    previous = new managedidentity.FederatedIdentityCredential(`github-${environment}`, {
      resourceGroupName: group.name,
      resourceName: environment === "preview" ? identities.preview.name : identities.deploy.name,
      federatedIdentityCredentialResourceName: `github-${environment}`,
      issuer: githubIssuer,
      subject: `repo:${repository}:environment:${environment}`,
      audiences: ["api://AzureADTokenExchange"],
    }, { dependsOn: previous ? [previous] : [] });
  }
  return identities;
}

/** The `identity` of a site that acts as these. */
export function actingAs(...identities: managedidentity.UserAssignedIdentity[]): { type: "UserAssigned"; userAssignedIdentities: pulumi.Output<string>[] } {
  return { type: "UserAssigned", userAssignedIdentities: identities.map((identity) => identity.id) };
}
