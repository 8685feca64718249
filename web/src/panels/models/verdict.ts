import type { TFunction } from 'i18next';

import type { Schemas } from '../../api/client';
import { numberText } from './history';

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
};

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
  const show = (value: Check['found']) => (typeof value === 'number' ? numberText(value, language) : String(value));
  const values = { metric, found: show(check.found), required: show(check.required) };
  return { text: t(`models.check.${kind}.${check.passed ? 'held' : 'failed'}`, values), isEnglish: false };
}

/** The checks that decided: those that did not hold. */
export function reasons(checks: readonly Check[]): Check[] {
  return checks.filter(({ passed }) => !passed);
}
