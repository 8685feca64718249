import { useTranslation } from 'react-i18next';

import { numbers } from '../../lib/numbers';
import type { Range } from './watch';

const TICKS: Readonly<Record<Range, Intl.DateTimeFormatOptions>> = {
  hour: { timeStyle: 'short' },
  day: { timeStyle: 'short' },
  week: { weekday: 'short', day: 'numeric' },
  month: { month: 'short', day: 'numeric' },
};

/** Numbers and times as the visitor's language writes them. */
export function formats(language: string) {
  // As `timeStyle` has it, which cannot be asked for beside a day: "6:00 AM", but "06:00" of 24 hours.
  const hour = new Intl.DateTimeFormat(language, { hour: 'numeric' }).resolvedOptions().hour12 ? 'numeric' : '2-digit';
  const moment = new Intl.DateTimeFormat(language, { weekday: 'short', day: 'numeric', month: 'short', hour, minute: '2-digit' });
  const clock = new Intl.DateTimeFormat(language, { timeStyle: 'medium' });
  const { evenPercent, percent, number, signed, ...others } = numbers(language);
  return {
    ...others,
    number,
    signed,
    moment: (text: string) => moment.format(new Date(text)),
    clock: (text: string) => clock.format(new Date(text)),
    tick: (range: Range) => {
      const format = new Intl.DateTimeFormat(language, TICKS[range]);
      return (text: string) => format.format(new Date(text));
    },
    /** From a bucket's start to its end. */
    span: (start: string, seconds: number) =>
      moment.formatRange(new Date(start), new Date(Date.parse(start) + 1000 * seconds)),
    percent: evenPercent,
    roughly: percent,
    /** A difference of shares, in percentage points. */
    points: (value: number) => signed(100 * value),
    /** A p-value, which below a billionth says no more. */
    p: (value: number) => (value < 1e-9 ? '< 10⁻⁹' : number(value)),
  };
}

export type Formats = ReturnType<typeof formats>;

export function useFormats(): Formats {
  const { i18n } = useTranslation();
  return formats(i18n.language);
}
