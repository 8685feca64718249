import type { Point } from './viewport';

/** Left, top, right, bottom in pixels of the upright image. */
export type BoxXyxy = readonly [number, number, number, number];

/** The index of the smallest box around a point, within `tolerance` pixels; null where there is none. */
export function boxAt(boxes: readonly { readonly box: BoxXyxy }[], point: Point, tolerance = 0): number | null {
  let best: number | null = null;
  let smallest = Infinity;
  boxes.forEach(({ box: [x1, y1, x2, y2] }, index) => {
    const inside =
      point.x >= x1 - tolerance && point.x <= x2 + tolerance && point.y >= y1 - tolerance && point.y <= y2 + tolerance;
    const area = (x2 - x1) * (y2 - y1);
    if (inside && area < smallest) [best, smallest] = [index, area];
  });
  return best;
}

/** Lowest score shown of a class: its operating point, or the one that the visitor chose for all. */
export type Threshold = (classId: number) => number;

/** Which of the boxes that came are drawn. */
export interface BoxView {
  /** The visitor's own threshold for all classes; null at the model's operating point. */
  readonly threshold: number | null;
  /** Classes not shown. */
  readonly hidden: ReadonlySet<string>;
}

/** Everything that reaches the operating point. */
export const AS_THE_MODEL: BoxView = { threshold: null, hidden: new Set() };

const DEFAULT_THRESHOLD = 0.5;

/** The thresholds of a model's operating point; 0.5 where it has none, as the service has it. */
export function operatingPoint(point: Readonly<Record<string, unknown>> | undefined): Threshold {
  const values = point?.thresholds;
  if (!Array.isArray(values)) return () => DEFAULT_THRESHOLD;
  return (classId) => {
    const value: unknown = values[classId];
    return typeof value === 'number' ? value : DEFAULT_THRESHOLD;
  };
}

/** One number for the slider to start at: the mean over the classes. */
export function meanThreshold(threshold: Threshold, numClasses: number): number {
  if (numClasses === 0) return DEFAULT_THRESHOLD;
  let sum = 0;
  for (let id = 0; id < numClasses; id += 1) sum += threshold(id);
  return Math.round((sum / numClasses) * 100) / 100;
}

/** The lowest and the highest over the classes. */
export function thresholdRange(threshold: Threshold, numClasses: number): [number, number] {
  if (numClasses === 0) return [DEFAULT_THRESHOLD, DEFAULT_THRESHOLD];
  const values = Array.from({ length: numClasses }, (_, id) => threshold(id));
  return [Math.min(...values), Math.max(...values)];
}

interface Scored {
  readonly class: string;
  readonly class_id: number;
  readonly score: number;
}

/** What reaches its threshold, and is of no hidden class. */
export function shown<T extends Scored>(found: readonly T[], threshold: Threshold, hidden: ReadonlySet<string>): T[] {
  return found.filter((item) => item.score >= threshold(item.class_id) && !hidden.has(item.class));
}

/** How many there are of each class, most first, then by name. */
export function countByClass(found: readonly Scored[]): { name: string; classId: number; count: number }[] {
  const counts = new Map<string, { name: string; classId: number; count: number }>();
  for (const item of found) {
    const entry = counts.get(item.class) ?? { name: item.class, classId: item.class_id, count: 0 };
    entry.count += 1;
    counts.set(item.class, entry);
  }
  return [...counts.values()].sort((a, b) => b.count - a.count || a.classId - b.classId);
}
