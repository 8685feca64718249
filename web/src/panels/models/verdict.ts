import type { TFunction } from 'i18next';

import type { Schemas } from '../../api/client';
import { numbers } from '../../lib/numbers';
import { metricText } from './history';
import { metricWord } from './Metric';

type Check = Schemas['CheckBody'];

/** Kinds of checks that the page has words for, by the start of their names. */
const KINDS: Readonly<Record<string, string>> = {
  finite: 'finite',
  parity: 'parity',
  floor: 'floor',
  'model size': 'size',
  latency: 'latency',
  'same test images': 'same_images',
  'enough images': 'enough_images',
  'not worse': 'not_worse',
  gain: 'gain',
  'class drop': 'class_drop',
};

/** The gate names the class and the metric in its sentence alone. */
const CLASS_DROP = /^(?<class>.+), the class that fares worst, loses (?:[\d.]+|nothing) of (?<metric>\w+); /s;

/** Kinds that count, and kinds whose sentences have the unit. */
const PLAIN = new Set(['enough_images']);
const UNIT = new Set(['size', 'latency']);

export interface Words {
  readonly text: string;
  /** Whether the text is the service's own, which is English. */
  readonly isEnglish: boolean;
}

/** What a check found, in the visitor's language where the page knows the check. */
export function checkWords(t: TFunction, check: Check, language: string): Words {
  const [name = '', metric = ''] = check.name.split(': ');
  const kind = KINDS[name];
  // Where something else than a number decided, such as a class, only the service's sentence names it.
  const isNumeric = typeof check.found === 'number' && typeof check.required === 'number';
  const isPlain = kind === 'parity' || kind === 'finite';
  if (kind === undefined || !(isNumeric || (isPlain && check.passed))) {
    return { text: check.explanation, isEnglish: true };
  }
  const drop = kind === 'class_drop' ? CLASS_DROP.exec(check.explanation)?.groups : undefined;
  if (kind === 'class_drop' && !drop) return { text: check.explanation, isEnglish: true };
  const digits = PLAIN.has(kind) ? 'num_' : (drop?.metric ?? metric);
  const { number } = numbers(language);
  const show = (value: Check['found'], isLimit: boolean) =>
    typeof value !== 'number'
      ? String(value)
      : isLimit || UNIT.has(kind)
        ? number(value)
        : metricText(digits, kind === 'class_drop' ? Math.max(0, value) : value, language);
  const values = {
    metric: metricWord(t, drop?.metric ?? metric),
    ...(drop && { class: drop.class }),
    found: show(check.found, false),
    required: show(check.required, kind !== 'not_worse'),
  };
  return { text: t(`models.check.${kind}.${check.passed ? 'held' : 'failed'}`, values), isEnglish: false };
}

/** The checks that decided: those that did not hold. */
export function reasons(checks: readonly Check[]): Check[] {
  return checks.filter(({ passed }) => !passed);
}
