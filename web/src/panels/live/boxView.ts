import type { Model } from '../../api/client';
import type { FrameAnswer, FramePrediction } from '../../api/stream';
import { operatingPoint, shown, type BoxView } from '../../lib/boxes';
import type { Moment } from './timeline';

/**
 * Boxes below it are not asked for. Lower than anybody looks at, and high enough that a long video's answers, which are
 * all kept, stay small.
 */
export const LEAST_ASKED = 0.05;

/** Least score to ask a task for: a detector for more than it would say, so that the slider works both ways. */
export function leastAsked(task: string): number | undefined {
  return task === 'classification' ? undefined : LEAST_ASKED;
}

/** The model that answered, else the task's champion. */
export function modelOf(models: readonly Model[], task: string, answered: FrameAnswer['model']): Model | undefined {
  const ofTask = models.filter((model) => model.task === task);
  return (
    ofTask.find(({ name, version }) => name === answered?.name && version === answered.version) ??
    ofTask.find(({ role }) => role === 'champion')
  );
}

/** The boxes of a frame that are drawn; a classifier's answer as it is. */
export function drawnOf(
  prediction: FramePrediction | null,
  model: Model | undefined,
  { threshold: own, hidden }: BoxView,
): FramePrediction | null {
  if (!prediction?.detections) return prediction;
  const threshold = own === null ? operatingPoint(model?.operating_point) : () => own;
  return { ...prediction, detections: shown(prediction.detections, threshold, hidden) };
}

/** The moments of a video with what is drawn of them. */
export function drawnMoments(
  moments: readonly Moment[],
  models: readonly Model[],
  task: string,
  view: BoxView,
): readonly Moment[] {
  return moments.map((moment) => ({
    ...moment,
    prediction: drawnOf(moment.prediction, modelOf(models, task, moment.model), view),
  }));
}
