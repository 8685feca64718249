import { expect, it } from 'vitest';

import { championOf, compared, differenceText, metricText, type Version } from './history';

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

it('numbers of a metric have the same digits everywhere', () => {
  const told = (name: string, ...values: (number | null)[]) => values.map((value) => metricText(name, value, 'en'));
  expect(told('accuracy', 0.99162, 0.9, 1, null)).toEqual(['0.9916', '0.9000', '1.0000', '–']);
  expect(told('latency_ms', 9.2777, 0.692, 1234.5)).toEqual(['9.28 ms', '0.692 ms', '1,230 ms']);
  expect(told('model_mb', 5.515)).toEqual(['5.52 MB']);
  expect(told('num_images', 1358)).toEqual(['1,358']);
  expect([0.02, -0.02, 0, null].map((value) => differenceText('map', value, 'en'))).toEqual(['+0.0200', '−0.0200', '0.0000', '–']);
});
