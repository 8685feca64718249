import { describe, expect, it } from 'vitest';

import { ROUTES } from '../routes';

const files = import.meta.glob<Record<string, unknown>>('./*.json', { import: 'default', eager: true });
const english = flat(files['./en.json'] ?? {});

function flat(messages: object, prefix = ''): Map<string, string> {
  return new Map(
    Object.entries(messages).flatMap(([key, value]: [string, unknown]) =>
      typeof value === 'object' && value !== null
        ? [...flat(value, `${prefix}${key}.`)]
        : [[prefix + key, String(value)] as const],
    ),
  );
}

function placeholders(text: string): string[] {
  return [...text.matchAll(/{{(\w+)}}/g)].map(([, name = '']) => name).sort();
}

it('German says du to whoever reads it', () => {
  // "Sie" may begin a sentence about a version, which is a she in German.
  for (const [key, text] of flat(files['./de.json'] ?? {})) expect(text, key).not.toMatch(/[\wäöüß] Sie\b|\bIhne?n\b/);
});

describe.each(Object.entries(files))('%s', (_, messages) => {
  const found = flat(messages);

  it('has the same keys as English', () => {
    expect([...found.keys()].sort()).toEqual([...english.keys()].sort());
  });

  it('has the same placeholders, and no empty message', () => {
    for (const [key, text] of found) {
      expect(text.trim(), key).not.toBe('');
      expect(placeholders(text), key).toEqual(placeholders(english.get(key) ?? ''));
    }
  });

  it('says of each problem what it is and what to do', () => {
    for (const code of Object.keys(messages.problems as object)) {
      expect(found.has(`problems.${code}.what`) && found.has(`problems.${code}.action`), code).toBe(true);
    }
  });

  it('names every panel', () => {
    for (const { name } of ROUTES) expect(found.has(`${name}.nav`) && found.has(`${name}.title`), name).toBe(true);
  });
});
