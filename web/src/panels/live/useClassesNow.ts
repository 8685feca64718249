import { useState } from 'react';

import type { Model } from '../../api/client';
import type { FramePrediction } from '../../api/stream';
import { countByClass } from '../../lib/boxes';

/** A model of no more classes than this has all of them listed. */
const FEW = 16;

/**
 * How many of each class a frame shows, always in the same order: what comes and goes would not be hit by a click.
 *
 * Of a model with many classes, those that were seen so far.
 */
export function useClassesNow(model: Model | undefined, prediction: FramePrediction | null) {
  const [seen, setSeen] = useState<ReadonlyMap<number, string>>(new Map());
  const now = countByClass(prediction?.detections ?? []);
  const fresh = now.filter(({ classId }) => !seen.has(classId));
  if (fresh.length > 0) {
    setSeen(new Map([...seen, ...fresh.map(({ classId, name }) => [classId, name] as const)].sort((a, b) => a[0] - b[0])));
  }
  const counts = new Map(now.map(({ classId, count }) => [classId, count]));
  const listed =
    model && model.classes.length <= FEW ? model.classes.map((name, classId) => [classId, name] as const) : [...seen];
  return listed.map(([classId, name]) => ({ name, classId, count: counts.get(classId) ?? 0 }));
}
