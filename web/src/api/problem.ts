import type { components } from './schema';

type ProblemBody = components['schemas']['ProblemBody'];

/** A refusal of the service, or the lack of an answer, with the four facts: what, where, expected, action. */
export class ApiProblem extends Error {
  override name = 'ApiProblem';

  constructor(
    /** Stable reason; messages for it stand under `problems.<code>`. */
    readonly code: string,
    /** HTTP status; 0 where there was no answer. */
    readonly status: number,
    readonly detail: string,
    readonly facts: { readonly where: string; readonly expected: string; readonly action: string } = NO_FACTS,
    /** Seconds after which trying again makes sense. */
    readonly retryAfter: number | null = null,
    /** By which the service's log knows the request. */
    readonly requestId: string | null = null,
  ) {
    super(detail);
  }

  /** Whether the same request may succeed later. */
  get isTransient(): boolean {
    return this.status === 0 || [408, 429, 502, 503, 504].includes(this.status);
  }

  /** Whether sending the same again could end otherwise: not where the service refuses the image itself. */
  get mayPass(): boolean {
    return ![400, 413, 415, 422].includes(this.status);
  }

  /** Whether a key, or another key, is needed. */
  get needsKey(): boolean {
    return this.status === 401;
  }
}

const NO_FACTS = { where: '', expected: '', action: '' };

/** No connection could be made. */
export function unreachable(): ApiProblem {
  return new ApiProblem('unreachable', 0, 'the service does not answer');
}

/** The connection broke after bytes were sent. */
export function connectionLost(): ApiProblem {
  return new ApiProblem('connection_lost', 0, 'the connection was lost');
}

/** Whatever went wrong, as something to say. */
export function asProblem(error: unknown): ApiProblem {
  return error instanceof ApiProblem ? error : new ApiProblem('page_error', 0, String(error));
}

/** The problem in an answer that is not a success. Anything may stand in it: a proxy may have answered. */
export function problemOf(status: number, body: unknown, header: (name: string) => string | null): ApiProblem {
  const seconds = Number(header('Retry-After') ?? NaN);
  const retryAfter = Number.isFinite(seconds) ? seconds : null;
  const requestId = header('X-Request-ID');
  if (!isProblem(body)) {
    return new ApiProblem(`http_${status}`, status, `HTTP ${status}`, NO_FACTS, retryAfter, requestId);
  }
  const { code, detail, where, expected, action } = body;
  return new ApiProblem(code, status, detail, { where, expected, action }, retryAfter, requestId);
}

function isProblem(body: unknown): body is ProblemBody {
  return (
    typeof body === 'object' &&
    body !== null &&
    ['code', 'detail', 'where', 'expected', 'action'].every(
      (name) => typeof (body as Record<string, unknown>)[name] === 'string',
    )
  );
}
