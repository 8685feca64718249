import { BlobReader, BlobWriter, configure, ZipReader, type FileEntry } from '@zip.js/zip.js/lib/zip-core-native.js';

import type { PictureSource } from './sources';

// The content-security policy has no workers made of blobs; the browser inflates beside the page's thread anyway.
configure({ useWebWorkers: false });

/** Pictures of an archive on this device: only its directory is read, and each picture when it is asked for. */
export async function openZip(file: Blob): Promise<PictureSource> {
  const members = new Map<string, FileEntry>();
  for (const entry of await new ZipReader(new BlobReader(file)).getEntries()) {
    if (!entry.directory) members.set(entry.filename, entry);
  }
  return {
    read: async ({ image }) => (await members.get(image)?.getData(new BlobWriter())) ?? null,
  };
}
