import type { FrameAnswer, FramePrediction } from '../../api/stream';
import { countByClass } from '../../lib/boxes';
import { BOX_COLUMNS, toCsv } from '../../lib/download';

/** A frame of a video and what the model says of it. */
export interface Moment {
  /** Seconds from the start. */
  readonly time: number;
  /** In pixels of the video; null where the frame was refused. */
  readonly prediction: FramePrediction | null;
  readonly model: FrameAnswer['model'];
  /** Code of the refusal. */
  readonly problem: string | null;
}

export interface Bar {
  /** Seconds. */
  readonly start: number;
  readonly end: number;
  readonly parts: readonly { readonly name: string; readonly classId: number; readonly count: number }[];
}

/** Which frames are looked at: so many a second, the first one first. */
export function frameTimes(duration: number, perSecond: number): number[] {
  const number = Math.max(1, Math.ceil(duration * perSecond - 1e-6));
  return Array.from({ length: number }, (_, index) => index / perSecond);
}

/** The moments with another one in its place; one of the same time gives way. */
export function withMoment(moments: readonly Moment[], added: Moment): Moment[] {
  const index = after(moments, added.time);
  const same = moments[index - 1]?.time === added.time ? 1 : 0;
  return [...moments.slice(0, index - same), added, ...moments.slice(index)];
}

/** The latest moment that is not after `time`, and no older than `reach` seconds. */
export function momentAt(moments: readonly Moment[], time: number, reach: number): Moment | null {
  // Where a video stands after seeking differs a little from where it was sent.
  const found = moments[after(moments, time + 1e-3) - 1];
  return found && time - found.time < reach ? found : null;
}

/** How many moments are not after `time`. */
function after(moments: readonly Moment[], time: number): number {
  let [low, high] = [0, moments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((moments[middle]?.time ?? Infinity) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface Seen {
  readonly class: string;
  readonly class_id: number;
  readonly score: number;
}

/** What a frame shows: its boxes, or its most probable class. */
export function seenIn(prediction: FramePrediction | null): readonly Seen[] {
  return prediction?.detections ?? prediction?.ranked?.slice(0, 1) ?? [];
}

/** The video in equal parts; of the frames in a part, each class has its highest count. */
export function barsOf(moments: readonly Moment[], duration: number, numBars: number): Bar[] {
  const width = duration / numBars;
  const most = Array.from({ length: numBars }, () => new Map<string, Bar['parts'][number]>());
  for (const { time, prediction } of moments) {
    const parts = most[Math.min(numBars - 1, Math.floor(time / width))];
    for (const part of countByClass(seenIn(prediction))) {
      if (part.count > (parts?.get(part.name)?.count ?? 0)) parts?.set(part.name, part);
    }
  }
  return most.map((parts, index) => ({
    start: index * width,
    end: (index + 1) * width,
    parts: [...parts.values()].sort((a, b) => a.classId - b.classId),
  }));
}

/** In how many frames each class is seen, most first. */
export function framesByClass(moments: readonly Moment[]): { name: string; classId: number; count: number }[] {
  return countByClass(
    moments.flatMap(({ prediction }) => [...new Map(seenIn(prediction).map((item) => [item.class_id, item])).values()]),
  );
}

const HEADER = ['image', 'time_s', 'task', 'model', 'version', 'class', 'score', ...BOX_COLUMNS, 'error'];

/** A row for each box, or for each frame's class; a frame without any has a row too. */
export function csvOf(file: string, task: string, moments: readonly Moment[]): string {
  const rows = moments.flatMap(({ time, prediction, model, problem }) => {
    const start = [file, Number(time.toFixed(3)), task, model?.name, model?.version];
    const boxes = prediction?.detections?.map((item) => [...start, item.class, item.score, ...item.box_xyxy, problem]);
    const seen = boxes ?? seenIn(prediction).map((item) => [...start, item.class, item.score, '', '', '', '', problem]);
    return seen.length > 0 ? seen : [[...start, '', '', '', '', '', '', problem]];
  });
  return toCsv(HEADER, rows);
}

export function jsonOf(file: string, task: string, moments: readonly Moment[]): string {
  const frames = moments.map(({ time, prediction, model, problem }) => ({
    time_s: Number(time.toFixed(3)),
    model,
    prediction,
    problem,
  }));
  return JSON.stringify({ file, task, frames }, null, 2);
}
