/** Let the browser save something under a name. */
export function download(content: Blob, name: string) {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun reading by the next turn of its loop.
  setTimeout(() => URL.revokeObjectURL(url), 1_000);
}

export function downloadText(text: string, name: string, mediaType: string) {
  download(new Blob([text], { type: `${mediaType};charset=utf-8` }), name);
}

/** Columns of a box, named as in the results of `/v1/batches`. */
export const BOX_COLUMNS = ['x_min', 'y_min', 'x_max', 'y_max'] as const;

type Cell = string | number | null | undefined;

/**
 * Rows as CSV (RFC 4180).
 *
 * Names come from strangers' files: a cell that a spreadsheet would take for a formula gets an apostrophe before it.
 */
export function toCsv(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [header, ...rows].map((row) => row.map(cell).join(',') + '\r\n').join('');
}

function cell(value: Cell): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A file's name without its suffix, for names of downloads. */
export function stem(name: string): string {
  return name.replace(/\.[^.]+$/, '') || name;
}
