import { useQuery } from '@tanstack/react-query';

import { api, asked, type Schemas } from '../../api/client';
import { operatingPoint } from '../../lib/boxes';
import type { LabelBox } from './boxEdit';

export type Prediction = Schemas['ListedPrediction'];
/** Where predictions to look at come from; `one:<id>` is that one alone. */
export type Source = 'useful' | 'latest' | 'judged' | `one:${string}`;

/** A prediction to look at. */
export interface Item {
  readonly prediction: Prediction;
  readonly reason: Schemas['QueueItem']['reason'] | null;
}

const PAGE = 50;
/** With fewer that wait, further ones are chosen: so many that a round is worked off before the next is chosen. */
const ENOUGH = 10;

/** What to look at next, of one of the sources. */
export function useItems(task: string, source: Source) {
  return useQuery({
    queryKey: ['label', task, source],
    queryFn: () => fetchItems(task, source),
    // Whoever works through a list does not want it to change meanwhile.
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
  });
}

async function fetchItems(task: string, source: Source): Promise<readonly Item[]> {
  if (source === 'useful') {
    const queue = (await asked(() =>
      api.GET('/v1/queue', { params: { query: { task, limit: PAGE } } }),
    )) as Schemas['QueueAnswer'];
    if (queue.items.length >= ENOUGH || queue.left_today === 0) return queue.items;
    const filled = await asked(() => api.POST('/v1/queue', { params: { query: { task, limit: ENOUGH } } }));
    return (filled as Schemas['QueueAnswer']).items;
  }
  if (source.startsWith('one:')) {
    const id = source.slice('one:'.length);
    const prediction = await asked(() => api.GET('/v1/predictions/{id}', { params: { path: { id } } }));
    return [{ prediction: { ...(prediction as Schemas['StoredPrediction']), has_image: true }, reason: null }];
  }
  const feedback = source === 'judged' ? 'any' : 'none';
  const query = { task, feedback, limit: PAGE } as const;
  const found = await asked(() => api.GET('/v1/predictions', { params: { query } }));
  const { predictions } = found as Schemas['PredictionsAnswer'];
  return predictions.filter(({ has_image }) => has_image).map((prediction) => ({ prediction, reason: null }));
}

/** The kept image of a prediction. */
export function imageQuery(id: string) {
  return {
    queryKey: ['label', 'image', id],
    queryFn: () =>
      asked<Blob>(() => api.GET('/v1/predictions/{id}/image', { params: { path: { id } }, parseAs: 'blob' })),
    staleTime: Infinity,
    gcTime: 60_000,
  };
}

export type Label = string | readonly LabelBox[];

/** Say what is right: the answer itself, nothing the page knows (`wrong`), or a label in its place. */
export function say(id: string, verdict: 'right' | 'wrong' | 'corrected', label: Label | null): Promise<unknown> {
  const sent =
    label === null || typeof label === 'string'
      ? label
      : label.map(({ class: name, box }) => ({ class: name, box_xyxy: rounded(box) }));
  const body = { prediction_id: id, verdict, label: sent, note: null };
  return asked(() => api.POST('/v1/feedback', { body }));
}

function rounded([x1, y1, x2, y2]: LabelBox['box']): [number, number, number, number] {
  const round = (value: number) => Math.round(100 * value) / 100;
  return [round(x1), round(y1), round(x2), round(y2)];
}

/** Say nothing of it any more; returns what others have said. */
export async function takeBack(id: string): Promise<Prediction['feedback']> {
  const params = { params: { path: { id } } };
  await asked<unknown>(() => api.DELETE('/v1/predictions/{id}/feedback', params));
  const stored = (await asked(() => api.GET('/v1/predictions/{id}', params))) as Schemas['StoredPrediction'];
  return stored.feedback;
}

/** What was said of it last. */
export function lastSaid({ feedback }: Prediction): Prediction['feedback'][number] | null {
  return feedback.at(-1) ?? null;
}

/** The class it has by what was said last: null where none fits, or nothing was said. */
export function saidClass(prediction: Prediction): string | null {
  const said = lastSaid(prediction);
  if (said?.verdict === 'right') return prediction.top_class;
  return typeof said?.label === 'string' ? said.label : null;
}

/** The boxes to begin with: what was said last, else what the model found above its operating point. */
export function firstBoxes(prediction: Prediction, point: Readonly<Record<string, unknown>> | undefined): LabelBox[] {
  const said = lastSaid(prediction)?.label;
  if (Array.isArray(said)) return said.map((item) => ({ class: item.class, box: item.box_xyxy }));
  const threshold = operatingPoint(point);
  return (prediction.result.detections ?? [])
    .filter(({ class_id, score }) => score >= threshold(class_id))
    .map((item) => ({ class: item.class, box: item.box_xyxy }));
}
