import { beforeEach, describe, expect, it } from 'vitest';

import { apiKey, keyHeaders, keyQuestion, setApiKey, withKey } from './key';
import { ApiProblem, problemOf, unreachable } from './problem';

const BODY = {
  type: 'urn:visionloop:problem:rate_limited',
  title: 'Too Many Requests',
  status: 429,
  detail: 'too many requests',
  code: 'rate_limited',
  where: 'key a',
  expected: 'fewer',
  action: 'wait',
};
const none = () => null;

describe('problems', () => {
  it('carry the four facts, when to try again, and the request', () => {
    const header = (name: string) => ({ 'Retry-After': '3', 'X-Request-ID': 'r1' })[name] ?? null;
    const problem = problemOf(429, BODY, header);
    expect(problem).toMatchObject({ code: 'rate_limited', status: 429, retryAfter: 3, requestId: 'r1' });
    expect(problem.facts).toEqual({ where: 'key a', expected: 'fewer', action: 'wait' });
    expect(problem.isTransient).toBe(true);
  });

  it.each([undefined, null, 'Bad gateway', 7, [], { code: 1 }])('are made of anything a proxy may say: %j', (body) => {
    const problem = problemOf(502, body, none);
    expect(problem).toMatchObject({ code: 'http_502', status: 502, retryAfter: null });
    expect(problem.isTransient).toBe(true);
  });

  it('that will stay are not transient', () => {
    expect(problemOf(415, { ...BODY, status: 415 }, none).isTransient).toBe(false);
    expect(unreachable().isTransient).toBe(true);
  });
});

describe('keys', () => {
  const missing = new ApiProblem('key_missing', 401, 'no API key');
  beforeEach(() => setApiKey(null));

  it('are asked for once, however many requests wait, and sent from then on', async () => {
    const request = () => (apiKey() === 'good' ? Promise.resolve('answer') : Promise.reject(missing));
    const waiting = Promise.all([withKey(request), withKey(request), withKey(request)]);
    await Promise.resolve();
    await Promise.resolve();
    keyQuestion()?.answer('good');
    expect(await waiting).toEqual(['answer', 'answer', 'answer']);
    expect(keyQuestion()).toBeNull();
    expect(keyHeaders()).toEqual({ 'X-API-Key': 'good' });
  });

  it('that are not given leave the refusal as it is', async () => {
    const refused = withKey(() => Promise.reject(missing));
    await Promise.resolve();
    await Promise.resolve();
    keyQuestion()?.answer(null);
    await expect(refused).rejects.toBe(missing);
  });

  it('are kept for the tab, and nowhere else', () => {
    setApiKey('secret');
    expect(JSON.stringify(Object.entries(localStorage))).not.toContain('secret');
    expect(document.cookie).not.toContain('secret');
  });

  it('do not matter to other problems', async () => {
    const other = new ApiProblem('overloaded', 503, 'busy');
    await expect(withKey(() => Promise.reject(other))).rejects.toBe(other);
    expect(keyQuestion()).toBeNull();
  });
});
