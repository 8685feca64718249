import type { Prediction, Schemas } from '../../api/client';
import { BOX_COLUMNS, toCsv } from '../../lib/download';
import type { Picture } from './store';

export type Found = Schemas['Box'];

const HEADER = ['image', 'task', 'model', 'version', 'class', 'score', ...BOX_COLUMNS];

/** What a task says of a picture: one prediction, since one picture was sent. */
export function predictionOf(picture: Picture, task: string): Prediction | null {
  return picture.answers[task]?.predictions[0] ?? null;
}

/** A row for each ranked class and each box that is shown. */
export function csvOf(picture: Picture, shown: readonly Found[]): string {
  const rows = Object.entries(picture.answers).flatMap(([task, { model, predictions }]) => {
    const start = [picture.file.name, task, model.name, model.version];
    const prediction = predictions[0];
    const ranked = (prediction?.ranked ?? []).map((item) => [...start, item.class, item.score, '', '', '', '']);
    const boxes = (prediction?.detections ? shown : []).map((item) => [
      ...start,
      item.class,
      item.score,
      ...item.box_xyxy,
    ]);
    return [...ranked, ...boxes];
  });
  return toCsv(HEADER, rows);
}

/** The service's answers as they came, but only the boxes that are shown. */
export function jsonOf(picture: Picture, shown: readonly Found[]): string {
  const answers = Object.entries(picture.answers).map(([task, answer]) => {
    const predictions = answer.predictions.map((prediction) =>
      prediction.detections ? { ...prediction, detections: shown } : prediction,
    );
    return [task, { ...answer, predictions }] as const;
  });
  return JSON.stringify({ file: picture.file.name, results: Object.fromEntries(answers) }, null, 2);
}
