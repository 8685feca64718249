import { useQuery } from '@tanstack/react-query';
import createClient, { type Middleware } from 'openapi-fetch';

import { keyHeaders, withKey } from './key';
import { problemOf, unreachable } from './problem';
import type { components, paths } from './schema';

export type Schemas = components['schemas'];
export type Model = Schemas['ModelBody'];
export type Prediction = Schemas['PredictionBody'];
export type TaskAnswer = Schemas['TaskAnswer'];

const headers: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(keyHeaders())) request.headers.set(name, value);
    return request;
  },
  onError: () => unreachable(),
};

/** The API, typed by its OpenAPI document. Use it inside `asked`. */
export const api = createClient<paths>({ baseUrl: window.location.origin });
api.use(headers);

/**
 * The data of an answer; a key is asked for where one is needed.
 *
 * @throws ApiProblem for a refusal, or where there is no answer.
 */
export function asked<T>(request: () => Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  return withKey(async () => {
    const { data, error, response } = await request();
    if (!response.ok) throw problemOf(response.status, error, (name) => response.headers.get(name));
    return data as T;
  });
}

/** What serves; asked again now and then, since a promotion may come at any time. */
export function useModels() {
  return useQuery({
    queryKey: ['models'],
    queryFn: () => asked(() => api.GET('/v1/models')),
    refetchInterval: 30_000,
  });
}

/** Route by task. The service makes one of every task it knows. */
export const VERBS: Readonly<Record<string, string>> = { classification: 'classify', detection: 'detect' };
