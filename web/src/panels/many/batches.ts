import { useQuery } from '@tanstack/react-query';

import { api, asked, type Schemas } from '../../api/client';
import { ApiProblem } from '../../api/problem';
import { upload, type UploadOptions } from '../../api/upload';
import type { Chosen } from './files';
import { parseRows, type Row } from './rows';

export type Batch = Schemas['BatchAnswer'];
export type Form = 'csv' | 'json' | 'coco';

const POLL_MS = 1_000;
/** Where it takes long anyway: a key's rate is for other requests too. */
const SLOW_POLL_MS = 5_000;
const LONG_S = 30;

export function isFinished({ status }: Pick<Batch, 'status'>): boolean {
  return status !== 'waiting' && status !== 'running';
}

/** Send what was chosen as a batch for a task. */
export async function submit({ content }: Chosen, task: string, options: UploadOptions): Promise<Batch> {
  const url = `/v1/batches?task=${encodeURIComponent(task)}`;
  if (content.kind === 'zip') {
    // Systems disagree on the type of archives, or know none.
    const body = content.file.slice(0, content.file.size, 'application/zip');
    return (await upload(url, body, options)) as Batch;
  }
  const form = new FormData();
  for (const { name, file } of content.images) form.append('image', file, name);
  return (await upload(url, form, options)) as Batch;
}

/** How a batch stands; asked again until it is finished. */
export function useBatch(id: string) {
  return useQuery({
    queryKey: ['batch', id],
    queryFn: () => asked(() => api.GET('/v1/batches/{id}', { params: { path: { id } } })),
    refetchInterval: ({ state: { data, error } }) => {
      if (data && isFinished(data)) return false;
      if (error instanceof ApiProblem && !error.isTransient) return false;
      return (data?.eta_s ?? 0) > LONG_S ? SLOW_POLL_MS : POLL_MS;
    },
  });
}

/** The rows of a batch that is done; they never change. */
export function useRows(id: string, isDone: boolean) {
  return useQuery({
    queryKey: ['batch', id, 'rows'],
    queryFn: async (): Promise<Row[]> => parseRows(await (await result(id, 'json')).text()),
    enabled: isDone,
    staleTime: Infinity,
    // Thousands of rows are not worth keeping once nobody looks at them.
    gcTime: 60_000,
  });
}

/** A result in one of the forms that the service writes. */
export function result(id: string, form: Form): Promise<Blob> {
  return asked<Blob>(() =>
    api.GET('/v1/batches/{id}/result', { params: { path: { id }, query: { form } }, parseAs: 'blob' }),
  );
}

/** Stop a batch; null where it was finished, and is removed now. */
export async function cancel(id: string): Promise<Batch | null> {
  const batch = await asked<Batch | undefined>(() => api.DELETE('/v1/batches/{id}', { params: { path: { id } } }));
  return batch ?? null;
}
