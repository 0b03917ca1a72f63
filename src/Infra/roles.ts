import * as authorization from "@pulumi/azure-native/authorization";
import * as pulumi from "@pulumi/pulumi";
import { guidOf } from "./settings";

/** Azure's built-in roles that are given to anybody here, and no other. https://learn.microsoft.com/azure/role-based-access-control/built-in-roles */
export const roles = {
  tableDataContributor: "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
  blobDataContributor: "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
  blobDataOwner: "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
  blobDataReader: "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
  queueDataContributor: "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
  eventHubsDataSender: "2b629674-e913-4c01-ae53-ef4638d8f975",
  eventHubsDataReceiver: "a638d3c7-ab3a-418d-83e6-5f17a39d4fde",
  websiteContributor: "de139f84-1756-47ae-9be6-808fbbe84772",
  networkContributor: "4d97b98b-1d4f-4787-a291-c67834d212e7",
  managedIdentityOperator: "f1a07417-d97a-45cb-824c-7a7467783830",
  monitoringMetricsPublisher: "3913510d-42f4-4e42-8a64-420c390055eb",
  reader: "acdd72a7-3385-48ef-bd42-f606fba81ae7",
  contributor: "b24988ac-6180-42a0-ab88-20f7382dd24c",
} as const;

export type Role = keyof typeof roles;

/** Gives one identity one role at one scope. The assignment's name says who and what, so that a review reads it without look-ups. */
export function grant(who: string, principalId: pulumi.Input<string>, role: Role, where: string, scope: pulumi.Input<string>, isPerson = false): authorization.RoleAssignment {
  const name = `${who}-${role}-${where}`;
  return new authorization.RoleAssignment(name, {
    principalId,
    principalType: isPerson ? "User" : "ServicePrincipal", // Else a new identity that the directory does not show yet is refused.
    roleAssignmentName: pulumi.output(scope).apply((at) => guidOf(`${name} ${at}`)),
    roleDefinitionId: `/providers/Microsoft.Authorization/roleDefinitions/${roles[role]}`,
    scope,
  });
}
