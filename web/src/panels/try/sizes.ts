import type { ApiProblem } from '../../api/problem';

/** A file's size in kB or MB, as written in the language. */
export function formatBytes(bytes: number, language: string): string {
  const [value, unit] = bytes < 1e6 ? [Math.max(1, Math.round(bytes / 1e3)), 'kilobyte'] : [bytes / 1e6, 'megabyte'];
  return new Intl.NumberFormat(language, { style: 'unit', unit, maximumFractionDigits: 1 }).format(value);
}

/** The most bytes that the service accepts, where a file was refused for its size and the service says so. */
export function limitOf({ code, facts }: ApiProblem): number | null {
  if (code !== 'image_too_many_bytes' && code !== 'body_too_large') return null;
  const found = /([\d.]+) MB/.exec(facts.expected)?.[1];
  return found === undefined ? null : Number(found) * 1e6;
}
