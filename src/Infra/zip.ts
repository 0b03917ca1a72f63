import { inflateRawSync } from "node:zlib";

/**
 * One file of a zip archive, by its name; undefined where there is none. PKWARE APPNOTE 4.3: the directory at the end says where each entry is.
 * @throws Error when this is no zip archive, or the entry is packed in another way than stored or deflated.
 */
export function readEntry(zip: Buffer, name: string): Buffer | undefined {
  const end = zip.lastIndexOf("PK\x05\x06", undefined, "latin1");
  if (end < 0) throw new Error("it is no zip archive");
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    if (zip.readUInt32LE(at) !== 0x02014b50) throw new Error("its directory is damaged");
    const [packing, packed, nameLength] = [zip.readUInt16LE(at + 10), zip.readUInt32LE(at + 20), zip.readUInt16LE(at + 28)];
    if (zip.toString("utf8", at + 46, at + 46 + nameLength) === name) {
      const local = zip.readUInt32LE(at + 42);
      const from = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const content = zip.subarray(from, from + packed);
      if (packing === 0) return content;
      if (packing === 8) return inflateRawSync(content);
      throw new Error(`${name} is packed by method ${packing}`);
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return undefined;
}
