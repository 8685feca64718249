export interface Grid {
  readonly columns: number;
  /** Cells, filled line by line. */
  readonly count: number;
  /** Lines in sight. */
  readonly page: number;
  /** Whether Home and End lead to the first and last of all, not of the line. */
  readonly toEnds: boolean;
}

/** Where a key leads to from a cell; null where it is no key of the grid. */
export function moved(key: string, from: number, { columns, count, page, toEnds }: Grid): number | null {
  const column = from % columns;
  const lineStart = from - column;
  const last = count - 1;
  // The last line may have fewer cells: the one above its end stays reachable by going down.
  const down = (lines: number) => {
    const lastLine = Math.floor(last / columns) * columns;
    return Math.min(last, Math.min(from + lines * columns, lastLine + column));
  };
  switch (key) {
    case 'ArrowRight':
      return Math.min(last, from + 1);
    case 'ArrowLeft':
      return Math.max(0, from - 1);
    case 'ArrowDown':
      return down(1);
    case 'ArrowUp':
      return from < columns ? from : from - columns;
    case 'PageDown':
      return down(page);
    case 'PageUp':
      return Math.max(column, from - page * columns);
    case 'Home':
      return toEnds ? 0 : lineStart;
    case 'End':
      return toEnds ? last : Math.min(last, lineStart + columns - 1);
    default:
      return null;
  }
}
