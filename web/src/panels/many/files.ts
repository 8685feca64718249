/** What a visitor chose for a batch. */
export interface Chosen {
  /** Of the folder or archive, or of the first file. */
  readonly name: string;
  readonly bytes: number;
  /** Files that are not sent, by name and reason. */
  readonly left: readonly LeftOut[];
  readonly content: { readonly kind: 'zip'; readonly file: File } | { readonly kind: 'images'; readonly images: readonly NamedFile[] };
}

/** A file that the service would not take. */
export interface LeftOut {
  readonly name: string;
  /** Not named like an image, or of more bytes than the service reads. */
  readonly reason: 'type' | 'size';
  readonly bytes: number;
}

/** A file with its path inside of the chosen folder. */
export interface NamedFile {
  readonly name: string;
  readonly file: File;
}

// As the service has it for archives (SUFFIXES in core/images.py).
const IMAGE = /\.(jpe?g|png|webp|bmp)$/i;

/**
 * One archive, or the images among files, of at most `maxBytes` each; null where there is neither.
 *
 * Images are in the order of their names: browsers give folders in an order of their own. Of an archive the service
 * says itself which members it does not take.
 */
export function choose(files: readonly NamedFile[], maxBytes = Infinity): Chosen | null {
  const [only] = files;
  if (only && files.length === 1 && /\.zip$/i.test(only.name)) {
    return { name: only.name, bytes: only.file.size, left: [], content: { kind: 'zip', file: only.file } };
  }
  const collator = new Intl.Collator('en', { numeric: true });
  const visible = files.filter(({ name }) => !name.split('/').some((part) => part.startsWith('.')));
  const inOrder = visible.sort((a, b) => collator.compare(a.name, b.name));
  const fault = ({ name, file: { size } }: NamedFile) => (!IMAGE.test(name) ? 'type' : size > maxBytes ? 'size' : null);
  const images = inOrder.filter((file) => fault(file) === null);
  const left = inOrder.flatMap((file): LeftOut[] => {
    const reason = fault(file);
    return reason ? [{ name: file.name, reason, bytes: file.file.size }] : [];
  });
  const first = images[0] ?? left.find(({ reason }) => reason === 'size');
  if (!first) return null;
  const folder = first.name.includes('/') ? first.name.split('/', 1)[0] : undefined;
  return {
    name: folder ?? (images.length > 1 ? `${first.name} +${images.length - 1}` : first.name),
    bytes: images.reduce((sum, { file }) => sum + file.size, 0),
    left,
    content: { kind: 'images', images },
  };
}

/** Files of an input, with their paths where a folder was chosen. */
export function fromInput(files: Iterable<File>): NamedFile[] {
  return [...files].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
}

/**
 * Files and whole folders that were dropped.
 *
 * Call it while the event is handled: the browser takes the items away afterwards.
 */
export async function fromDrop(transfer: DataTransfer): Promise<NamedFile[]> {
  const found = [...transfer.items]
    .filter(({ kind }) => kind === 'file')
    .map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const lists = await Promise.all(
    found.map(async ({ entry, file }) => (entry ? walk(entry) : file ? [{ name: file.name, file }] : [])),
  );
  return lists.flat();
}

async function walk(entry: FileSystemEntry): Promise<NamedFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ name: entry.fullPath.replace(/^\//, ''), file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: NamedFile[] = [];
  for (;;) {
    // A reader gives a hundred entries at a time, and none once it is through.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return found;
    for (const child of entries) found.push(...(await walk(child)));
  }
}
