import type { BoxXyxy } from '../../lib/boxes';

/** What a model found in an image: its class, or one of its boxes. */
export interface Found {
  readonly class: string;
  readonly class_id: number;
  /** From 0 to 1. */
  readonly score: number;
  readonly box_xyxy?: BoxXyxy;
}

/** One image of a batch: a line of its result. */
export interface Row {
  /** Position among the images that were sent, from 0. */
  readonly index: number;
  /** Of its stored prediction, by which it can be judged; null where there is none. */
  readonly id: string | null;
  /** Name in the archive or form. */
  readonly image: string;
  /** Pixels of the upright image; 0 where it could not be read. */
  readonly width: number;
  readonly height: number;
  /** The best class alone, or every box. */
  readonly found: readonly Found[];
  /** Further classes with their scores, best first. */
  readonly ranked: readonly Found[];
  /** Why there is no prediction. */
  readonly error: { readonly code: string; readonly detail: string } | null;
}

interface Line {
  index: number;
  id?: string;
  image: string;
  width?: number;
  height?: number;
  class?: string;
  class_id?: number;
  score?: number;
  ranked?: Found[];
  detections?: Found[];
  error?: { code: string; detail: string };
}

/** The rows of a result as lines of JSON. */
export function parseRows(text: string): Row[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => rowOf(JSON.parse(line) as Line));
}

function rowOf(line: Line): Row {
  const { class: name, class_id, score } = line;
  const single = name !== undefined && class_id !== undefined && score !== undefined;
  return {
    index: line.index,
    id: line.error ? null : (line.id ?? null),
    image: line.image,
    width: line.width ?? 0,
    height: line.height ?? 0,
    found: single ? [{ class: name, class_id, score }] : (line.detections ?? []),
    ranked: line.ranked ?? [],
    error: line.error ?? null,
  };
}

export type Order = 'unsure' | 'name' | 'class';
/** A class's name after `class:`, or one of the kinds of rows without any. */
export type Subject = 'all' | 'nothing' | 'failed' | `class:${string}`;

export interface Filter {
  readonly subject: Subject;
  /** Lowest and highest confidence, from 0 to 1. */
  readonly range: readonly [number, number];
}

export const EVERYTHING: Filter = { subject: 'all', range: [0, 1] };

/** What of a row is of the filter's class and confidence. */
export function matching(row: Row, { subject, range: [low, high] }: Filter): readonly Found[] {
  return row.found.filter(
    (item) => item.score >= low && item.score <= high && (!subject.startsWith('class:') || subject === `class:${item.class}`),
  );
}

/** The rows that the filter lets through. Rows without a finding have no confidence: any restriction hides them. */
export function filtered(rows: readonly Row[], filter: Filter): readonly Row[] {
  const [low, high] = filter.range;
  switch (filter.subject) {
    case 'failed':
      return rows.filter(({ error }) => error);
    case 'nothing':
      return rows.filter(({ error, found }) => !error && found.length === 0);
    default:
      if (filter.subject === 'all' && low <= 0 && high >= 1) return rows;
      return rows.filter((row) => matching(row, filter).length > 0);
  }
}

/** How many pictures each class, and each other subject, has within the filter's confidence. */
export function picturesBySubject(rows: readonly Row[], { range }: Pick<Filter, 'range'>): {
  readonly all: number;
  readonly nothing: number;
  readonly failed: number;
  /** In the order of the model's classes. */
  readonly classes: readonly { readonly name: string; readonly classId: number; readonly count: number }[];
} {
  const classes = new Map<string, { name: string; classId: number; count: number }>();
  for (const row of rows) {
    for (const { class: name, class_id: classId } of row.found) {
      if (!classes.has(name)) classes.set(name, { name, classId, count: 0 });
    }
    for (const name of new Set(matching(row, { subject: 'all', range }).map((item) => item.class))) {
      const entry = classes.get(name);
      if (entry) entry.count += 1;
    }
  }
  return {
    all: filtered(rows, { subject: 'all', range }).length,
    nothing: rows.filter(({ error, found }) => !error && found.length === 0).length,
    failed: rows.filter(({ error }) => error).length,
    classes: [...classes.values()].sort((a, b) => a.classId - b.classId),
  };
}

/** The least confidence of findings; infinite where there is none. */
export function leastScore(found: readonly Found[]): number {
  return found.reduce((least, { score }) => Math.min(least, score), Infinity);
}

/** Rows in an order, by what of them the filter lets through; failed ones come last, and equal ones as they were sent. */
export function sorted(rows: readonly Row[], order: Order, language: string, filter = EVERYTHING): Row[] {
  const collator = new Intl.Collator(language, { numeric: true });
  const shown = new Map(rows.map((row) => [row, matching(row, filter)]));
  const of = (row: Row) => shown.get(row) ?? [];
  const keys = {
    unsure: (a: Row, b: Row) => compare(leastScore(of(a)), leastScore(of(b))),
    name: (a: Row, b: Row) => collator.compare(a.image, b.image),
    class: (a: Row, b: Row) => compare(best(of(a))?.class_id ?? Infinity, best(of(b))?.class_id ?? Infinity),
  };
  const failed = (row: Row) => (row.error ? 1 : 0);
  return [...rows].sort((a, b) => failed(a) - failed(b) || keys[order](a, b) || a.index - b.index);
}

/** The most certain finding. */
export function best(found: readonly Found[]): Found | null {
  return found.reduce<Found | null>((top, item) => (top && top.score >= item.score ? top : item), null);
}

// Not by subtraction: the difference of two infinities is no number.
function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** How many findings have a confidence in each of `bins` equal parts of 0 to 1; a 1 counts to the last. */
export function histogram(rows: readonly Row[], bins = 10): number[] {
  const counts = new Array<number>(bins).fill(0);
  for (const { found } of rows) {
    for (const { score } of found) {
      const bin = Math.min(bins - 1, Math.max(0, Math.floor(score * bins)));
      counts[bin] = (counts[bin] ?? 0) + 1;
    }
  }
  return counts;
}

/** Names of the images without a prediction by the reason, the most frequent first. */
export function failuresByCode(rows: readonly Row[]): { code: string; detail: string; images: string[] }[] {
  const groups = new Map<string, { code: string; detail: string; images: string[] }>();
  for (const { error, image } of rows) {
    if (!error) continue;
    const group = groups.get(error.code) ?? { ...error, images: [] };
    group.images.push(image);
    groups.set(error.code, group);
  }
  return [...groups.values()].sort((a, b) => b.images.length - a.images.length || (a.code < b.code ? -1 : 1));
}
