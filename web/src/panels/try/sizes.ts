import type { ApiProblem } from '../../api/problem';

/** The most bytes that the service accepts, where a file was refused for its size and the service says so. */
export function limitOf({ code, facts }: ApiProblem): number | null {
  if (code !== 'image_too_many_bytes' && code !== 'body_too_large') return null;
  const found = /([\d.]+) MB/.exec(facts.expected)?.[1];
  return found === undefined ? null : Number(found) * 1e6;
}
