import type { Chosen } from './files';
import type { Row } from './rows';

/** Where the pictures of a batch's rows are on this device. */
export interface PictureSource {
  /** The picture of a row; null where there is none to be had. */
  read(row: Row): Promise<Blob | null>;
}

/** The pictures of what was chosen; an archive is opened when the first of them is asked for. */
export function sourceOf({ content }: Chosen): PictureSource {
  if (content.kind === 'images') {
    // The service numbers images in the order of the form; names may come twice.
    return { read: (row) => Promise.resolve(content.images[row.index]?.file ?? null) };
  }
  let archive: Promise<PictureSource> | null = null;
  return {
    read: async (row) => {
      archive ??= import('./zip').then(({ openZip }) => openZip(content.file));
      const opened = await archive.catch((error: unknown) => {
        archive = null; // what opens it may not have come through: the next picture tries again
        throw error;
      });
      return opened.read(row);
    },
  };
}
