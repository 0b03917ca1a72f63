import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { deflateRawSync } from "node:zlib";
import { readPackages } from "../packages";
import { SettingsError } from "../settings";
import { readEntry } from "../zip";
import { settingsFrom } from "./run";

/** A zip archive of these files, as PKWARE's note says; written by itself, not by what reads it. */
function zipOf(files: Record<string, string>, packing: 0 | 8 | 9 = 8): Buffer {
  const parts: Buffer[] = [], directory: Buffer[] = [];
  let at = 0;
  for (const [name, text] of Object.entries(files)) {
    const content = packing === 8 ? deflateRawSync(Buffer.from(text)) : Buffer.from(text);
    const local = Buffer.alloc(30), entry = Buffer.alloc(46);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(packing, 8);
    local.writeUInt16LE(Buffer.byteLength(name), 26);
    local.writeUInt16LE(4, 28); // An extra field that the directory does not have.
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(packing, 10);
    entry.writeUInt32LE(content.length, 20);
    entry.writeUInt16LE(Buffer.byteLength(name), 28);
    entry.writeUInt16LE(3, 32); // A comment.
    entry.writeUInt32LE(at, 42);
    const written = Buffer.concat([local, Buffer.from(name), Buffer.alloc(4), content]);
    parts.push(written);
    directory.push(entry, Buffer.from(name), Buffer.from("abc"));
    at += written.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

describe("packages", () => {
  const folder = mkdtempSync(join(tmpdir(), "shardcloud-test-"));
  after(() => rmSync(folder, { recursive: true }));

  const read = (application: Buffer) => {
    for (const [name, content] of Object.entries({ "orchestrator.zip": Buffer.from("a"), "router.zip": Buffer.from("b"), "application.zip": application })) writeFileSync(join(folder, name), content);
    return readPackages(settingsFrom({ packages: { orchestrator: "orchestrator.zip", router: "router.zip", application: "application.zip" } }), folder);
  };

  test("an entry is found among others, stored or deflated", () => {
    for (const packing of [0, 8] as const) assert.equal(readEntry(zipOf({ "a/shardcloud.json": "no", "shardcloud.json": "yes".repeat(100), "z": "" }, packing), "shardcloud.json")?.toString(), "yes".repeat(100));
    assert.equal(readEntry(zipOf({ a: "" }), "shardcloud.json"), undefined);
  });

  test("what is no archive is refused", () => {
    assert.throws(() => readEntry(Buffer.from("hello"), "a"), /it is no zip archive/);
    assert.throws(() => readEntry(zipOf({ a: "b" }, 9), "a"), /a is packed by method 9/);
  });

  test("an application is known by its manifest, written as the Orchestrator would write it", () => {
    const packages = read(zipOf({ "Rooms.dll": "x", "shardcloud.json": JSON.stringify({ version: "1.2.3", command: ["dotnet", "Rooms.dll", "it's (a) *!"] }) }));
    assert.equal(packages.application.version, "1.2.3");
    assert.equal(packages.application.command, "%5B%22dotnet%22%2C%22Rooms.dll%22%2C%22it%27s%20%28a%29%20%2A%21%22%5D"); // As Uri.EscapeDataString does.
    assert.equal(packages.orchestrator.sha256, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
    assert.deepEqual(Object.keys(packages.router).sort(), ["path", "sha256"]);
  });

  const wrong: Record<string, [Buffer, RegExp]> = {
    "no archive": [Buffer.from("x"), /application.zip is no package of an application: it is no zip archive/],
    "no manifest": [zipOf({ "a/shardcloud.json": "{}" }), /it has no shardcloud.json at its root/],
    "no JSON": [zipOf({ "shardcloud.json": "{" }), /is no package of an application/],
    "no version": [zipOf({ "shardcloud.json": "{\"command\":[\"a\"]}" }), /version is undefined, not three numbers/],
    "no command": [zipOf({ "shardcloud.json": "{\"version\":\"1.0.0\",\"command\":[]}" }), /command is no list of words/],
  };
  for (const [name, [content, says]] of Object.entries(wrong)) test(`${name} is refused`, () => assert.throws(() => read(content), (error) => error instanceof SettingsError && says.test(error.message)));

  test("a file that is missing is named, and how to make it", () => assert.throws(() => readPackages(settingsFrom({ packages: { orchestrator: "gone.zip" } }), folder), /packages.orchestrator: there is no file .*gone.zip. Make all three with/));
});
