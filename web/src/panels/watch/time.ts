import type { Range } from './watch';

/** A bucket whose span is told in words, and how far apart the ticks of its axis are. */
export interface TimeAxis {
  readonly tick: (start: string) => string;
  /** From a bucket's start to its end, or to the end of a later one. */
  readonly span: (start: string, last?: string) => string;
  /** Which of the buckets' starts get a tick: round times of the visitor's clock. */
  readonly ticks: (starts: readonly string[]) => string[];
}

const isRound: Readonly<Record<Range, (at: Date) => boolean>> = {
  hour: (at) => at.getMinutes() % 10 === 0,
  day: (at) => at.getHours() % 4 === 0,
  // Buckets of some hours: the first of each day, wherever in it they begin.
  week: (at) => at.getHours() < 3,
  month: (at) => at.getHours() < 12 && (at.getDate() === 1 || (at.getDate() % 5 === 0 && at.getDate() < 30)),
};

/** The starts that are round times; every sixth where there are too few of them. */
export function roundTicks(starts: readonly string[], range: Range): string[] {
  const round = starts.filter((start) => isRound[range](new Date(start)));
  return round.length > 1 ? round : starts.filter((_, index) => index % Math.ceil(starts.length / 6 || 1) === 0);
}

/** Lines of a table over time, newest first; neighbours without anything are one line. */
export function newestFirst<Row extends { readonly start: string }>(
  rows: readonly Row[],
  isEmpty: (row: Row) => boolean,
  axis: Pick<TimeAxis, 'span'>,
  cells: (row: Row) => readonly string[],
): string[][] {
  const lines: string[][] = [];
  for (let index = rows.length - 1; index >= 0; index -= 1) {
    const last = rows[index];
    if (!last) continue;
    let first = last;
    while (isEmpty(last) && index > 0) {
      const before = rows[index - 1];
      if (!before || !isEmpty(before)) break;
      first = before;
      index -= 1;
    }
    lines.push([axis.span(first.start, last.start), ...cells(last)]);
  }
  return lines;
}
