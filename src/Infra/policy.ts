import { roles } from "./roles";

/** One resource as the program registers it: its inputs, resolved. */
export interface Registered {
  /** Token, e.g. `azure-native:storage:StorageAccount`. */
  readonly type: string;
  readonly name: string;
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** All that a run of the program did. */
export interface Run {
  readonly resources: readonly Registered[];
  /** Tokens of the functions that it called. */
  readonly calls: readonly string[];
  readonly outputs: Readonly<Record<string, unknown>>;
}

/** Where the run was for: what profile `prod` asks for beside. */
export interface Expectation {
  readonly privateEndpoints: boolean;
}

/**
 * What is not as safe as it must be, a line for each; empty when all is. Pure: tests use it on what the program registers, and on the same with one fault at a time.
 * It asks for the good value by name, so that a value that is left out counts as a fault.
 */
export function faultsOf(run: Run, expectation: Expectation): string[] {
  const faults: string[] = [];
  const say = (resource: Registered, what: string) => faults.push(`${resource.type.split(":").pop()} ${resource.name}: ${what}`);
  const want = (resource: Registered, path: string, ...good: unknown[]) => {
    const value = at(resource.inputs, path);
    if (!good.includes(value)) say(resource, `${path} is ${JSON.stringify(value)}, not ${good.map((one) => JSON.stringify(one)).join(" or ")}`);
  };

  for (const resource of run.resources) {
    switch (resource.type.replace("azure-native:", "")) {
      case "storage:StorageAccount":
        want(resource, "allowSharedKeyAccess", false);
        want(resource, "allowBlobPublicAccess", false);
        want(resource, "allowCrossTenantReplication", false);
        want(resource, "defaultToOAuthAuthentication", true);
        want(resource, "enableHttpsTrafficOnly", true);
        want(resource, "minimumTlsVersion", "TLS1_2", "TLS1_3");
        // Packages are uploaded from outside; the others are reached from inside only.
        if (expectation.privateEndpoints && resource.name !== "scsnapshots") want(resource, "publicNetworkAccess", "Disabled");
        break;
      case "storage:BlobContainer":
        want(resource, "publicAccess", "None");
        break;
      case "eventhub:Namespace":
        want(resource, "disableLocalAuth", true);
        want(resource, "minimumTlsVersion", "1.2");
        if (expectation.privateEndpoints) want(resource, "publicNetworkAccess", "Disabled");
        break;
      case "applicationinsights:Component":
        want(resource, "disableLocalAuth", true);
        break;
      case "operationalinsights:Workspace":
        want(resource, "features.disableLocalAuth", true);
        break;
      case "managedidentity:FederatedIdentityCredential":
        want(resource, "issuer", "https://token.actions.githubusercontent.com");
        want(resource, "audiences.0", "api://AzureADTokenExchange");
        if (!/^repo:[\w.-]+\/[\w.-]+:environment:[\w.-]+$/.test(String(resource.inputs.subject))) say(resource, `subject ${resource.inputs.subject} is not one environment of one repository`);
        if (String(resource.inputs.subject).endsWith(":environment:preview") !== (resource.inputs.resourceName === "preview")) say(resource, `pull requests would act as ${resource.inputs.resourceName}`);
        break;
      case "cdn:Route":
        want(resource, "cacheConfiguration", undefined);
        want(resource, "httpsRedirect", "Enabled");
        want(resource, "forwardingProtocol", "HttpsOnly");
        break;
      case "web:WebAppScmAllowed":
      case "web:WebAppFtpAllowed":
        want(resource, "allow", false);
        break;
      case "web:WebApp":
        checkSite(resource, run, want, say);
        break;
      case "authorization:RoleAssignment":
        faults.push(...faultsOfRole(resource));
        break;
      case "storage:Blob": // Its provider asks for the account's key.
      case "eventhub:NamespaceAuthorizationRule":
      case "eventhub:EventHubAuthorizationRule":
      case "authorization:RoleDefinition":
      case "web:WebAppSlot": // Inherits nothing: it would need every check of a site again.
        say(resource, "there must be none");
        break;
    }
    if (resource.type.startsWith("command:") && credentialOption.test(JSON.stringify(resource.inputs))) say(resource, "a credential is on its command line");
  }

  for (const call of run.calls) if (/:list|getSecret/i.test(call)) faults.push(`${call} is called: it answers with secrets, which then are in the state`);
  for (const [name, value] of leavesOf(run.outputs)) if (isSecret(name, value)) faults.push(`output ${name} looks like a secret`);
  return faults;
}

type Want = (resource: Registered, path: string, ...good: unknown[]) => void;
type Say = (resource: Registered, what: string) => void;

function checkSite(site: Registered, run: Run, want: Want, say: Say): void {
  const isFlex = site.inputs.functionAppConfig !== undefined;
  want(site, "httpsOnly", true);
  want(site, "identity.type", "UserAssigned");
  want(site, "clientAffinityEnabled", false);
  want(site, "siteConfig.minTlsVersion", "1.2", "1.3");
  want(site, "siteConfig.scmMinTlsVersion", "1.2", "1.3");
  if (!Array.isArray(at(site.inputs, "identity.userAssignedIdentities")) || at(site.inputs, "identity.userAssignedIdentities.0") === undefined) say(site, "it has no user-assigned identity");
  for (const kind of ["WebAppScmAllowed", "WebAppFtpAllowed"]) {
    if (!run.resources.some((other) => other.type === `azure-native:web:${kind}` && other.inputs.name === site.inputs.name)) say(site, `there is no ${kind} for it: passwords may publish`);
  }
  for (const { name, value } of settingsOf(site)) {
    const isTelemetry = name === "APPLICATIONINSIGHTS_CONNECTION_STRING" && /^InstrumentationKey=[0-9a-f-]{36};IngestionEndpoint=https:/.test(value); // Opens nothing with local auth off, which is checked.
    if (!isTelemetry && isSecret(name, value)) say(site, `app setting ${name} looks like a secret`);
  }

  if (isFlex) {
    // Azure takes any version; with another one the app never starts, and nothing says why.
    want(site, "functionAppConfig.runtime.name", "custom");
    want(site, "functionAppConfig.runtime.version", "1.0");
    want(site, "functionAppConfig.deployment.storage.authentication.type", "UserAssignedIdentity");
    for (const refused of ["ftpsState", "linuxFxVersion", "netFrameworkVersion", "alwaysOn"]) want(site, `siteConfig.${refused}`, undefined); // It has no FTP, and one framework.
    for (const { name } of settingsOf(site)) if (name === "FUNCTIONS_WORKER_RUNTIME" || name === "AzureWebJobsStorage") say(site, `app setting ${name} is refused by Flex Consumption, or is a key`);
  } else {
    want(site, "siteConfig.ftpsState", "Disabled");
    want(site, "siteConfig.webSocketsEnabled", true);
    want(site, "siteConfig.alwaysOn", true);
  }

  // Who is behind Front Door lets nobody past it.
  if (run.resources.some((other) => other.type === "azure-native:cdn:AFDOrigin" && other.name === site.name)) {
    want(site, "siteConfig.ipSecurityRestrictionsDefaultAction", "Deny");
    want(site, "siteConfig.ipSecurityRestrictions.0.ipAddress", "AzureFrontDoor.Backend");
    want(site, "siteConfig.ipSecurityRestrictions.1", undefined);
    if (!at(site.inputs, "siteConfig.ipSecurityRestrictions.0.headers.x-azure-fdid.0")) say(site, "it lets everybody's Front Door in: the header x-azure-fdid is not asked for");
  }
}

/** Roles that only one identity may have, by the beginning of the assignment's name, which `grant` builds from who it is for. */
const reserved: Readonly<Record<string, string>> = {
  [roles.websiteContributor]: "orchestrator",
  [roles.networkContributor]: "orchestrator",
  [roles.managedIdentityOperator]: "orchestrator",
  [roles.blobDataOwner]: "orchestrator",
  [roles.contributor]: "deploy",
  [roles.reader]: "preview",
};

function faultsOfRole(assignment: Registered): string[] {
  const role = String(assignment.inputs.roleDefinitionId).split("/").pop()!;
  const holder = String(assignment.inputs.principalId);
  if (!Object.values(roles).some((known) => known === role)) return [`RoleAssignment ${assignment.name}: role ${role} is not one of those that are given here`];
  const only = reserved[role];
  if (holder === "preview-principal" && role !== roles.reader) return [`RoleAssignment ${assignment.name}: whoever opens a pull request could use role ${role}`];
  if (only && holder !== `${only}-principal`) return [`RoleAssignment ${assignment.name}: ${holder} has role ${role}, which is for the ${only} only`];
  const ofGroup: readonly string[] = [roles.contributor, roles.websiteContributor, roles.reader];
  if (!ofGroup.includes(role) && /\/resourceGroups\/[^/]+$/.test(String(assignment.inputs.scope))) return [`RoleAssignment ${assignment.name}: it is for the whole group`];
  return [];
}

const credentialOption = /--(account-key|sas-token|connection-string|password|client-secret)\b/i;
const secretName = /(key|password|passwd|secret|token|connectionstring|connection_string)$/i;
const secretValue = /AccountKey=|SharedAccessKey|SharedAccessSignature|[?&;]sig=|password=|pwd=|-----BEGIN|\beyJ[\w-]{10,}\.|^(?!\/subscriptions\/)[A-Za-z0-9+/_-]{40,}={0,2}$/i;

/** Whether this looks like something that opens a door: by its name, or as keys, signatures, tokens and passwords look. */
export function isSecret(name: string, value: string): boolean {
  return secretName.test(name) || secretValue.test(value);
}

/** App settings of a site. */
export function settingsOf(site: Registered): readonly { name: string; value: string }[] {
  return (at(site.inputs, "siteConfig.appSettings") as { name: string; value: string }[] | undefined) ?? [];
}

/** A value by its path, `a.0.b`. */
export function at(value: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((within, key) => (within as Record<string, unknown> | undefined)?.[key], value);
}

function leavesOf(value: unknown, path = ""): [string, string][] {
  if (value !== null && typeof value === "object") return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, path ? `${path}.${key}` : key));
  return [[path, String(value)]];
}
