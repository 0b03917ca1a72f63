import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { addressOf } from "./environment";
import type { Ground } from "./identities";
import type { Orchestrator } from "./orchestrator";
import { SettingsError } from "./settings";
import type { Storage } from "./storage";
import { readEntry } from "./zip";

/** A zip file that is there. */
export interface Package {
  /** Absolute path. */
  readonly path: string;
  /** Of its content, in hexadecimal. */
  readonly sha256: string;
}

/** The first version of the application, as the Orchestrator would have published it (src/Packages/PackageStore.cs). */
export interface ApplicationPackage extends Package {
  readonly version: string;
  /** How it is started, a list of words as JSON, escaped as it is kept beside the blob. */
  readonly command: string;
}

export interface Packages {
  readonly orchestrator: Package;
  readonly router: Package;
  readonly application: ApplicationPackage;
}

/** @throws SettingsError where a file is missing or is no package. */
export function readPackages({ packages }: Ground["settings"], folder: string): Packages {
  const read = (setting: keyof typeof packages): Package & { content: Buffer } => {
    const path = resolve(folder, packages[setting]);
    if (!existsSync(path)) throw new SettingsError(`shardcloud:packages.${setting}: there is no file ${path}. Make all three with .github/scripts/build-ground.sh.`);
    const content = readFileSync(path);
    return { path, content, sha256: createHash("sha256").update(content).digest("hex") };
  };
  const [orchestrator, router, application] = [read("orchestrator"), read("router"), read("application")];
  return {
    orchestrator: without(orchestrator),
    router: without(router),
    application: { ...without(application), ...manifestOf(application.content, application.path) },
  };
}

/** Uploads what sites run, with the identity of who runs Pulumi: accounts take no keys, which is what Pulumi's own resource for blobs would ask for. Named by content or by version, so that nothing that runs is overwritten. */
export function uploadPackages({ settings }: Ground, storage: Storage, packages: Packages, dependsOn: pulumi.Resource[]): { routerUrl: pulumi.Output<string>; application: command.local.Command } {
  const router = upload("router-package", storage, `routers/${packages.router.sha256.slice(0, 16)}.zip`, packages.router, [], dependsOn);
  const name = `${settings.application}/${packages.application.version}.zip`;
  const application = upload("application-package", storage, name, packages.application, [`command=${packages.application.command}`], dependsOn);
  return { routerUrl: router.url, application: application.uploaded };
}

/** Gives the Functions app its package. Flex Consumption takes it by its own publication, which is the command's. */
export function publishOrchestrator({ group }: Ground, orchestrator: Orchestrator, { sha256, path }: Package): command.local.Command {
  return new command.local.Command("orchestrator-package", {
    create: pulumi.interpolate`node scripts/publish-functions.mjs ${group.name} ${orchestrator.site.name} "${path}"`,
    triggers: [sha256],
  });
}

function upload(resource: string, storage: Storage, blob: string, { path, sha256 }: Package, metadata: string[], dependsOn: pulumi.Resource[]): { uploaded: command.local.Command; url: pulumi.Output<string> } {
  const account = storage.snapshots.name;
  const uploaded = new command.local.Command(resource, {
    create: pulumi.interpolate`node scripts/upload-blob.mjs ${account} ${storage.packages.name} "${blob}" "${path}" ${[sha256, ...metadata].join(" ")}`,
    triggers: [sha256, blob],
  }, { dependsOn });
  return { uploaded, url: pulumi.all([addressOf(account, "blob"), storage.packages.name, uploaded.id]).apply(([address, container]) => `${address}/${container}/${blob}`) };
}

function without({ path, sha256 }: Package): Package {
  return { path, sha256 };
}

function manifestOf(zip: Buffer, path: string): { version: string; command: string } {
  try {
    const entry = readEntry(zip, "shardcloud.json");
    if (!entry) throw new Error("it has no shardcloud.json at its root");
    const manifest: unknown = JSON.parse(entry.toString("utf8"));
    const { version, command } = manifest as { version?: unknown; command?: unknown };
    if (typeof version !== "string" || !/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`version is ${JSON.stringify(version)}, not three numbers`);
    if (!Array.isArray(command) || command.length === 0 || !command.every((word) => typeof word === "string" && word.length > 0)) throw new Error("command is no list of words");
    return { version, command: encodeURIComponent(JSON.stringify(command)).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`) };
  } catch (error) {
    throw new SettingsError(`shardcloud:packages.application: ${path} is no package of an application: ${(error as Error).message} (docs/versions.md).`);
  }
}
