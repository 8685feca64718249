import { describe, expect, it } from 'vitest';

import type { Model } from '../../api/client';
import { formats } from './format';
import { accuracyRows, bounds, classIds, classRows, groupTests, isWatched, marks, NOTHING, OTHERS, shares, shareTicks, sorted, versionRows } from './rows';
import { newestFirst, roundTicks } from './time';
import type { Bucket, DriftReport, DriftTest, Estimate, History, Summary } from './watch';

const bucket = (start: string, more: Partial<Bucket> = {}): Bucket =>
  ({ start, answers: 0, by_version: {}, by_class: {}, other_classes: 0, found_nothing: 0, latency_ms: null, accuracy: null, ...more });

const HOURS = ['2026-11-21T10:00:00Z', '2026-11-21T11:00:00Z', '2026-11-21T12:00:00Z'];
const summary = (buckets: Bucket[], more: Partial<Summary> = {}): Summary =>
  ({ task: 'classification', until: '2026-11-21T13:00:00Z', classes: [], versions: [], buckets, ...more }) as Summary;

const estimate = (value: number | null): Estimate =>
  ({ status: value === null ? 'not_valid' : 'estimate', metric: 'accuracy', value, lower: value, upper: value, reason: '' });

describe('classes over time', () => {
  const found = classRows(
    summary([bucket(HOURS[0] ?? '', { answers: 12, by_class: { 10: 4, 2: 5 }, other_classes: 3 })], { classes: ['10', '2'] }),
  );

  it('keep their order, and with it their colours, whichever is more frequent', () => {
    expect(found.names).toEqual(['2', '10', OTHERS]);
  });

  it('add up to all answers', () => {
    expect(found.rows[0]).toEqual({ start: HOURS[0], total: 12, counts: { 10: 4, 2: 5, [OTHERS]: 3, [NOTHING]: 0 } });
  });
});

it('versions are counted in each bucket', () => {
  const rows = versionRows(summary([bucket(HOURS[0] ?? '', { answers: 3, by_version: { 1: 1, 2: 2 } })]));
  expect(rows).toEqual([{ start: HOURS[0], total: 3, counts: { 1: 1, 2: 2 } }]);
});

it('numbers in names are put in order as numbers', () => {
  expect(sorted(['10', '9', 'cat', '1'])).toEqual(['1', '9', '10', 'cat']);
});

describe('an estimate', () => {
  const windows = [
    { last_at: '2026-11-21T10:20:00Z', accuracy: estimate(0.9) },
    { last_at: '2026-11-21T10:40:00Z', accuracy: estimate(0.8) },
    { last_at: '2026-11-21T12:59:59Z', accuracy: estimate(null) },
    { last_at: '2026-11-21T13:00:00Z', accuracy: estimate(0.1) },
    { last_at: null, accuracy: estimate(0.1) },
  ];
  const rows = accuracyRows(summary(HOURS.map((start) => bucket(start))), { windows } as DriftReport);

  it('stands where its window ended, the latest of a bucket', () => {
    expect(rows.map((row) => bounds(row.estimate)?.value ?? null)).toEqual([0.8, null, null]);
  });

  it('that was withdrawn is told from none', () => {
    expect(rows.map((row) => row.estimate?.status ?? 'none')).toEqual(['estimate', 'none', 'not_valid']);
  });
});

it('changes of the champion are marked in the bucket they fall into, and those of other tasks are not', () => {
  const change = (when: string, model = 'm', to = '2') => ({ when, model, to_version: to, action: 'promote' });
  const history = {
    models: [{ model: 'm', task: 'classification' }, { model: 'other', task: 'detection' }],
    changes: [
      change('2026-11-21T12:00:00Z', 'm', '3'),
      change('2026-11-21T11:59:00Z'),
      change('2026-11-21T11:00:00Z', 'other'),
      change('2026-11-21T09:59:59Z'),
      change('2026-11-21T13:00:00Z'),
    ],
  } as History;
  const found = marks(summary(HOURS.map((start) => bucket(start))), history, 'classification');
  expect(found.map(({ start, change: { to_version: to } }) => [start, to])).toEqual([
    [HOURS[1], '2'],
    [HOURS[2], '3'],
  ]);
});

it('tests that could not be made are neither the same nor different', () => {
  const test = (name: string, outcome: string, drifted = false) => ({ name, outcome, drifted }) as DriftTest;
  const groups = groupTests([test('a', 'tested', true), test('b', 'tested'), test('c', 'constant')]);
  expect([groups.drifted, groups.same, groups.untested].map((group) => group.map(({ name }) => name))).toEqual([['a'], ['b'], ['c']]);
});

it('shares of nothing are nothing', () => {
  expect(shares([1, 3])).toEqual([0.25, 0.75]);
  expect(shares([0, 0])).toEqual([0, 0]);
});

it('shares have ticks at whole per cents, as far apart as each other', () => {
  expect([0, 0.03, 0.137, 0.41, 1].map(shareTicks)).toEqual([
    [0, 0.01],
    [0, 0.01, 0.02, 0.03],
    [0, 0.05, 0.1, 0.15],
    [0, 0.1, 0.2, 0.3, 0.4, 0.5],
    [0, 0.2, 0.4, 0.6, 0.8, 1],
  ]);
});

it('clocks say 6:00, and nothing else beside 5:44', () => {
  const at = new Date(2026, 10, 21, 6, 0).toISOString();
  expect(formats('en').tick('hour')(at)).toMatch(/^6:00\sAM$/);
  expect(formats('de').tick('day')(at)).toBe('06:00');
});

it('numbers are as exact as they have to be', () => {
  const format = formats('en');
  expect([3.14159, 99.95, 1234.5].map((value) => format.milliseconds(value))).toEqual(['3.14 ms', '100 ms', '1,235 ms']);
  expect([1e-12, 0.00162].map((value) => format.p(value))).toEqual(['< 10⁻⁹', '0.00162']);
  expect([0.0123, -0.05, 0].map((value) => format.points(value))).toEqual(['+1.2', '-5', '0']);
  expect(format.percent(0.98765)).toBe('98.8%');
});

describe('time', () => {
  const starts = (first: string, minutes: number, count: number) =>
    Array.from({ length: count }, (_, index) => new Date(new Date(first).getTime() + index * minutes * 60_000).toISOString());

  it('has ticks at round times of the clock', () => {
    const clock = (text: string) => `${new Date(text).getHours()}:${new Date(text).getMinutes()}`;
    const hour = roundTicks(starts('2026-11-21T09:47:00', 1, 60), 'hour');
    expect(hour.map(clock)).toEqual(['9:50', '10:0', '10:10', '10:20', '10:30', '10:40']);
    expect(roundTicks(starts('2026-11-20T11:00:00', 60, 24), 'day').map(clock)).toEqual(['12:0', '16:0', '20:0', '0:0', '4:0', '8:0']);
    expect(roundTicks(starts('2026-11-14T12:00:00', 180, 56), 'week')).toHaveLength(7);
    const month = roundTicks(starts('2026-10-22T12:00:00', 720, 60), 'month').map((text) => new Date(text).getDate());
    expect(month).toEqual([25, 1, 5, 10, 15, 20]);
    expect(roundTicks(starts('2026-11-21T09:03:00', 1, 3), 'hour')).toHaveLength(3);
  });

  it('runs down in tables, and what is empty is one line', () => {
    const rows = [0, 0, 3, 0, 5, 0, 0].map((n, hour) => ({ start: String(hour), n }));
    const span = (start: string, last = start) => `${start}-${last}`;
    expect(newestFirst(rows, ({ n }) => n === 0, { span }, ({ n }) => [String(n)])).toEqual([
      ['5-6', '0'],
      ['4-4', '5'],
      ['3-3', '0'],
      ['2-2', '3'],
      ['0-1', '0'],
    ]);
  });
});

it('alerts are watched as long as somebody looks', () => {
  const now = Date.parse('2026-11-21T12:00:00Z');
  const watched = (watched_at: string | null, watch_interval_s: number | null) => isWatched({ watched_at, watch_interval_s }, now);
  for (const interval of [30, null]) {
    expect([null, '2026-11-21T11:59:00Z', '2026-11-21T11:30:00Z'].map((at) => watched(at, interval))).toEqual([false, true, false]);
  }
  expect(['2026-11-21T11:52:00Z'].map((at) => [watched(at, 30), watched(at, null)])).toEqual([[false, true]]);
  expect(['2026-11-21T09:30:00Z', '2026-11-21T08:30:00Z'].map((at) => watched(at, 3600))).toEqual([true, false]);
});

it('a class has the colour of its place among those of the champion', () => {
  const models = [
    { task: 'detection', role: 'champion', classes: ['b', 'a'] },
    { task: 'classification', role: 'champion', classes: ['x', 'y', 'z'] },
  ] as unknown as Model[];
  const idOf = classIds(models, 'classification');
  expect(['z', 'x', 'gone', 'other', 'gone'].map(idOf)).toEqual([2, 0, 3, 4, 3]);
});
