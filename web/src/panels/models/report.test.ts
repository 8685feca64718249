import { expect, it } from 'vitest';

import { parseMarkdown } from './markdown';
import {
  classDifferences,
  confusionOf,
  curvesOf,
  heightAt,
  inWords,
  judged,
  mainMetric,
  metricNames,
  weakestFirst,
  type Report,
  type Table,
} from './report';
import { checkWords, reasons } from './verdict';

const numbers = (name: string, f1: number | null, support = 10) => ({
  class: name,
  support,
  metrics: { precision: 0.5, f1 },
  intervals: {},
});
const report = (...classes: ReturnType<typeof numbers>[]) => ({ classes }) as unknown as Report;
const table = (columns: string[], rows: unknown[][]): Table => ({ name: 't', columns, rows, left_out: 0 });

it('classes come with the weakest first, and those without a number last', () => {
  const held = report(numbers('a', 0.9), numbers('b', null), numbers('c', 0.2));
  const main = mainMetric(metricNames(held));
  expect(main).toBe('f1');
  expect(weakestFirst(held.classes, main).map(({ class: name }) => name)).toEqual(['c', 'a', 'b']);
  expect(mainMetric(['map', 'ap'])).toBe('ap');
  expect(mainMetric([])).toBe('');
});

it('of two versions, what a class loses most comes first', () => {
  const before = report(numbers('a', 0.5), numbers('b', 0.75), numbers('gone', 0.5));
  const after = report(numbers('a', 0.75), numbers('b', 0.5, 12), numbers('new', null));
  expect(classDifferences(before, after, 'f1').map(({ name, support, a, b, difference }) => [name, support, a, b, difference])).toEqual([
    ['b', 12, 0.75, 0.5, -0.25],
    ['a', 10, 0.5, 0.75, 0.25],
    ['gone', 10, 0.5, null, null],
    ['new', 10, null, null, null],
  ]);
});

it('what was taken for what is counted by row and column', () => {
  const rows = [
    ['a', 'a', 5],
    ['a', 'b', 1],
    ['b', 'a', 3],
  ];
  const { classes, counts, mistakes } = confusionOf(table(['actual', 'predicted', 'count'], rows), ['b', 'a', 'c']);
  expect(classes).toEqual(['b', 'a', 'c']);
  expect(counts).toEqual([
    [0, 3, 0],
    [1, 5, 0],
    [0, 0, 0],
  ]);
  expect(mistakes.map(({ actual, count }) => [actual, count])).toEqual([
    ['b', 3],
    ['a', 1],
  ]);
});

it('a curve has a height up to its end', () => {
  const rows = [
    ['a', 0, 1],
    ['b', 0, 0.5],
    ['a', 0.5, 0.75],
  ];
  const [a, b] = curvesOf(table(['class', 'recall', 'precision'], rows));
  expect([a?.name, b?.name]).toEqual(['a', 'b']);
  expect([0, 0.4, 0.5, 0.6].map((x) => a && heightAt(a, x))).toEqual([1, 1, 0.75, null]);
});

it('many of a class are counted', () => {
  expect(inWords([{ class: 'a' }])).toBe('a');
  expect(inWords([{ class: 'a' }, { class: 'b' }, { class: 'a' }])).toBe('a (2), b');
  expect(inWords([])).toBe('');
});

it('boxes of an example are right, of another class, false or missed', () => {
  const box = (name: string, x: number, score = 0.5) => ({ class: name, class_id: Number(name), box_xyxy: [x, 0, x + 10, 10] as const, score });
  const truth = [box('9', 0), box('9', 30), box('8', 60), box('7', 90)];
  const found = [box('9', 1, 0.4), box('3', 0, 0.9), box('1', 31), box('8', 80), { ...box('7', 90), box_xyxy: [90, 0, 94, 10] as const }];
  const told = judged(truth, found).map(({ class: name, verdict, actual }) => [name, verdict, actual ?? null]);
  expect(told).toEqual([
    ['3', 'false', null], // the box beside it is of the right class
    ['1', 'wrong_class', '9'],
    ['8', 'false', null],
    ['7', 'false', null], // too small
    ['9', 'right', null],
    ['8', 'missed', null],
    ['7', 'missed', null],
  ]);
});

it('a model card is headings, paragraphs, lists and code, and nothing in it is HTML', () => {
  const card = '# Title\n\n**Classes** (2): `a`,\n`<b>`\n\n## Point\n- `t`: 1\n- second\n  line\n\n```\nx = 1\n```\n[me](javascript:1)';
  expect(parseMarkdown(card)).toEqual([
    { kind: 'heading', level: 1, spans: [{ kind: 'text', text: 'Title' }] },
    {
      kind: 'paragraph',
      spans: [
        { kind: 'strong', text: 'Classes' },
        { kind: 'text', text: ' (2): ' },
        { kind: 'code', text: 'a' },
        { kind: 'text', text: ', ' },
        { kind: 'code', text: '<b>' },
      ],
    },
    { kind: 'heading', level: 2, spans: [{ kind: 'text', text: 'Point' }] },
    {
      kind: 'list',
      items: [
        [
          { kind: 'code', text: 't' },
          { kind: 'text', text: ': 1' },
        ],
        [{ kind: 'text', text: 'second line' }],
      ],
    },
    { kind: 'code', text: 'x = 1' },
    { kind: 'paragraph', spans: [{ kind: 'text', text: '[me](javascript:1)' }] },
  ]);
  expect(parseMarkdown('```\nnever closed')).toEqual([{ kind: 'code', text: 'never closed' }]);
});

it('a check is told in the visitor’s words where the page has some', () => {
  const told: unknown[] = [];
  const t = ((key: string, values: unknown) => {
    told.push([key, values]);
    return key;
  }) as unknown as Parameters<typeof checkWords>[0];
  const check = (name: string, passed: boolean, found: number | string, required: number | string) => ({
    name,
    passed,
    found,
    required,
    explanation: 'as the service says',
  });
  expect(checkWords(t, check('floor: accuracy', false, 0.41234, 0.5), 'en')).toEqual({
    text: 'models.check.floor.failed',
    isEnglish: false,
  });
  expect(told.slice(-1)).toEqual([['models.check.floor.failed', { metric: 'models.metrics.accuracy', found: '0.4123', required: '0.5' }]]);
  const english = { text: 'as the service says', isEnglish: true };
  expect(checkWords(t, check('class drop', false, 0.11, 0.02), 'de')).toEqual(english);
  const drop = { ...check('class drop', false, 0.11, 0.02), explanation: 'a, b, the class that fares worst, loses 0.110 of recall; 0.02 is allowed' };
  expect(checkWords(t, drop, 'de').text).toBe('models.check.class_drop.failed');
  expect(told.at(-1)).toEqual([
    'models.check.class_drop.failed',
    { metric: 'models.metrics.recall', class: 'a, b', found: '0,1100', required: '0,02' },
  ]);
  expect(checkWords(t, check('finite', false, 'ece', 'all finite'), 'de')).toEqual(english);
  expect(checkWords(t, check('parity', true, 'proven', 'proven'), 'de').text).toBe('models.check.parity.held');
  const checks = [check('finite', true, '', ''), check('class drop', false, 1, 0)];
  expect(reasons(checks)).toEqual([checks[1]]);
});
