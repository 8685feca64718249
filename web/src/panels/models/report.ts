import { useQuery } from '@tanstack/react-query';

import { api, asked, type Schemas } from '../../api/client';

export type Report = Schemas['ReportAnswer'];
export type ClassNumbers = Schemas['ClassNumbers'];
export type Example = Schemas['ReportExample'];
export type Table = Schemas['TableBody'];

/** A version's report; it never changes. */
export function useReport(id: string | null) {
  return useQuery({
    queryKey: ['models', 'report', id],
    queryFn: async () =>
      (await asked(() => api.GET('/v1/models/reports/{id}', { params: { path: { id: id ?? '' } } }))) as Report,
    enabled: id !== null,
    staleTime: Infinity,
  });
}

/** The picture of an example; those of a report go when it is closed. */
export function useExamplePicture(id: string, name: string) {
  return useQuery({
    queryKey: ['models', 'picture', id, name],
    queryFn: () =>
      asked<Blob>(() =>
        api.GET('/v1/models/reports/{id}/examples/{name}', { params: { path: { id, name } }, parseAs: 'blob' }),
      ),
    staleTime: Infinity,
    gcTime: 60_000,
    retry: false,
  });
}

export function tableOf(report: Report, name: string): Table | undefined {
  return report.tables.find((table) => table.name === name);
}

/** Names of the numbers that classes have, in the report's order. */
export function metricNames(...reports: readonly Report[]): string[] {
  return [...new Set(reports.flatMap(({ classes }) => classes.flatMap(({ metrics }) => Object.keys(metrics))))];
}

/** The number that says most of a class: both of its precision and recall. */
export function mainMetric(names: readonly string[]): string {
  return ['f1', 'ap'].find((name) => names.includes(name)) ?? names[0] ?? '';
}

/** Classes with the weakest first; those without a number last. */
export function weakestFirst(classes: readonly ClassNumbers[], metric: string): ClassNumbers[] {
  const value = (item: ClassNumbers) => item.metrics[metric] ?? Infinity;
  return [...classes].sort((a, b) => value(a) - value(b));
}

export interface ClassDifference {
  readonly name: string;
  readonly support: number;
  readonly a: number | null;
  readonly b: number | null;
  /** b less a; null where one is missing. */
  readonly difference: number | null;
}

/** A number of each class in two reports, the greatest loss first; what only one knows comes last. */
export function classDifferences(a: Report, b: Report, metric: string): ClassDifference[] {
  const before = new Map(a.classes.map((item) => [item.class, item]));
  const after = new Map(b.classes.map((item) => [item.class, item]));
  const rows = [...new Set([...before.keys(), ...after.keys()])].map((name) => {
    const [valueA, valueB] = [before.get(name)?.metrics[metric] ?? null, after.get(name)?.metrics[metric] ?? null];
    return {
      name,
      support: after.get(name)?.support ?? before.get(name)?.support ?? 0,
      a: valueA,
      b: valueB,
      difference: valueA === null || valueB === null ? null : valueB - valueA,
    };
  });
  return rows.sort((first, second) => (first.difference ?? Infinity) - (second.difference ?? Infinity));
}

export interface Confusion {
  readonly classes: readonly string[];
  /** Row the true class, column the answer. */
  readonly counts: readonly (readonly number[])[];
  /** What was taken for what, most often first. */
  readonly mistakes: readonly { readonly actual: string; readonly predicted: string; readonly count: number }[];
}

/** Counts by truth and answer, from rows of actual, predicted, count. */
export function confusionOf(table: Table, names: readonly string[]): Confusion {
  const rows = table.rows.map(([actual, predicted, count]) => ({
    actual: String(actual),
    predicted: String(predicted),
    count: Number(count),
  }));
  const classes = [...new Set([...names, ...rows.flatMap(({ actual, predicted }) => [actual, predicted])])];
  const index = new Map(classes.map((name, at) => [name, at]));
  const counts = classes.map(() => classes.map(() => 0));
  for (const { actual, predicted, count } of rows) {
    const row = counts[index.get(actual) ?? -1];
    const column = index.get(predicted) ?? -1;
    if (row) row[column] = (row[column] ?? 0) + count;
  }
  const mistakes = rows.filter(({ actual, predicted }) => actual !== predicted).sort((a, b) => b.count - a.count);
  return { classes, counts, mistakes };
}

export interface Curve {
  readonly name: string;
  /** x, y. */
  readonly points: readonly (readonly [number, number])[];
}

/** Precision over recall of each class. */
export function curvesOf(table: Table): Curve[] {
  const curves = new Map<string, [number, number][]>();
  for (const [name, recall, precision] of table.rows) {
    const points = curves.get(String(name)) ?? [];
    curves.set(String(name), points);
    points.push([Number(recall), Number(precision)]);
  }
  return [...curves].map(([name, points]) => ({ name, points }));
}

/** A curve's height at x: of its last point that is not beyond it; null where it has ended. */
export function heightAt({ points }: Curve, x: number): number | null {
  const last = points.at(-1);
  if (!last || x > last[0] + 1e-9) return null;
  return points.findLast(([at]) => at <= x + 1e-9)?.[1] ?? null;
}

/** What an example shows, or what the model found, in a few words: one name, or names with their counts. */
export function inWords(items: readonly { readonly class: string }[]): string {
  const counts = new Map<string, number>();
  for (const { class: name } of items) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => (count > 1 ? `${name} (${count})` : name)).join(', ');
}

type Box = readonly [number, number, number, number];

/** A box of an example, and what is to be said of it. */
export interface JudgedBox {
  readonly box: Box;
  readonly class: string;
  readonly classId: number;
  /** `missed` ones are there and were not found; `false` ones were found and are not there. */
  readonly verdict: 'right' | 'wrong_class' | 'false' | 'missed';
  /** What is there, where another class was found. */
  readonly actual?: string;
}

interface Boxed {
  readonly class: string;
  readonly class_id: number;
  readonly box_xyxy?: Box | null | undefined;
}

/**
 * What of an example's boxes is right: each found one takes the true one that it overlaps most, of its own class first,
 * as the metric at IoU 0.5 counts them.
 */
export function judged(truth: readonly Boxed[], found: readonly (Boxed & { readonly score: number })[]): JudgedBox[] {
  const open = new Set(truth.filter(({ box_xyxy: box }) => box));
  const takenBy = new Map<Boxed, Boxed>();
  const inOrder = [...found].sort((a, b) => b.score - a.score);
  for (const isSame of [true, false]) {
    for (const item of inOrder) {
      if (takenBy.has(item)) continue;
      const best = [...open]
        .filter((real) => (real.class === item.class) === isSame && iou(real.box_xyxy, item.box_xyxy) >= 0.5)
        .sort((a, b) => iou(b.box_xyxy, item.box_xyxy) - iou(a.box_xyxy, item.box_xyxy))[0];
      if (!best) continue;
      open.delete(best);
      takenBy.set(item, best);
    }
  }
  return [
    ...inOrder.flatMap((item): JudgedBox[] => {
      const real = takenBy.get(item);
      const verdict = !real ? 'false' : real.class === item.class ? 'right' : 'wrong_class';
      if (!item.box_xyxy) return [];
      return [
        {
          box: item.box_xyxy,
          class: item.class,
          classId: item.class_id,
          verdict,
          ...(real && verdict === 'wrong_class' && { actual: real.class }),
        },
      ];
    }),
    ...[...open].flatMap(({ box_xyxy: box, class: name, class_id: classId }): JudgedBox[] =>
      box ? [{ box, class: name, classId, verdict: 'missed' }] : [],
    ),
  ];
}

/** Intersection over union. */
function iou(a: Box | null | undefined, b: Box | null | undefined): number {
  if (!a || !b) return 0;
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = ([x1, y1, x2, y2]: Box) => (x2 - x1) * (y2 - y1);
  return (width * height) / (area(a) + area(b) - width * height);
}
