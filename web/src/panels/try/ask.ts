import { VERBS, type Schemas, type TaskAnswer } from '../../api/client';
import { upload } from '../../api/upload';
import type { Ask } from './store';

/**
 * One request for one task, or one for all.
 *
 * A detector is asked for everything that it hesitates about, so that the confidence slider works both ways.
 */
export const askService: Ask = async (file, tasks, options) => {
  const form = new FormData();
  const [only, ...more] = tasks;
  if (only !== undefined && more.length === 0) {
    if (only !== 'classification') form.append('threshold', '0');
    form.append('image', file);
    return { [only]: (await upload(`/v1/${VERBS[only] ?? only}`, form, options)) as TaskAnswer };
  }
  form.append('threshold', '0');
  form.append('image', file);
  return ((await upload('/v1/predict', form, options)) as Schemas['PredictAnswer']).results;
};

/** The picture with its heat, from `/v1/explain`. */
export async function explain(file: File, task: string, signal: AbortSignal): Promise<Blob> {
  const form = new FormData();
  form.append('task', task);
  form.append('image', file);
  return (await upload('/v1/explain', form, { signal, as: 'blob' })) as Blob;
}
