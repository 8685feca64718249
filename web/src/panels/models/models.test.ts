import { expect, it } from 'vitest';

import { championOf, compared, numberText, type Version } from './history';

const version = (name: string, accuracy: number, more: Partial<Version> = {}): Version =>
  ({
    version: name,
    aliases: [],
    primary_metric: 'accuracy',
    metrics: { accuracy, ece: 0.02 },
    intervals: { accuracy: [accuracy - 0.1, accuracy + 0.1] },
    ...more,
  }) as Version;

it('two versions are compared by their primary metric first', () => {
  const rows = compared(version('1', 0.75), version('2', 0.875, { metrics: { accuracy: 0.875, auroc: 0.9 } }));
  expect(rows.map(({ name, a, b, difference }) => [name, a, b, difference])).toEqual([
    ['accuracy', 0.75, 0.875, 0.125],
    ['auroc', null, 0.9, null],
    ['ece', 0.02, null, null],
  ]);
  expect(rows[0]?.intervalA).toEqual([0.65, 0.85]);
  expect(rows[1]?.intervalB).toBeNull();
});

it('the champion is the registry’s, else what serves', () => {
  const model = { model: 'm', task: 't', versions: [version('2', 1), version('1', 1, { aliases: ['champion'] })] };
  expect(championOf(model, [])).toBe('1');
  const serving = [{ name: 'm', role: 'champion', version: '2' }] as unknown as Parameters<typeof championOf>[1];
  expect(championOf({ ...model, versions: [version('2', 1)] }, serving)).toBe('2');
  expect(championOf({ ...model, versions: [] }, [])).toBeNull();
});

it('numbers are as long as they have to be', () => {
  expect([0.99162, 12.345, 358, null].map((value) => numberText(value, 'en'))).toEqual(['0.9916', '12.3', '358', '–']);
});
