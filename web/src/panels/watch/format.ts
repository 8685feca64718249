import { useTranslation } from 'react-i18next';

import type { Range } from './watch';

const TICKS: Readonly<Record<Range, Intl.DateTimeFormatOptions>> = {
  hour: { hour: '2-digit', minute: '2-digit' },
  day: { hour: '2-digit', minute: '2-digit' },
  week: { weekday: 'short', day: 'numeric' },
  month: { month: 'short', day: 'numeric' },
};

/** Numbers and times as the visitor's language writes them. */
export function formats(language: string) {
  const moment = new Intl.DateTimeFormat(language, { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
  const clock = new Intl.DateTimeFormat(language, { timeStyle: 'medium' });
  const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
  const short = new Intl.NumberFormat(language, { notation: 'compact', maximumFractionDigits: 1 });
  const percents = new Intl.NumberFormat(language, { style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const rough = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 0 });
  const small = new Intl.NumberFormat(language, { maximumSignificantDigits: 3 });
  const points = new Intl.NumberFormat(language, { maximumFractionDigits: 1, signDisplay: 'exceptZero' });
  return {
    moment: (text: string) => moment.format(new Date(text)),
    clock: (text: string) => clock.format(new Date(text)),
    tick: (range: Range) => {
      const format = new Intl.DateTimeFormat(language, TICKS[range]);
      return (text: string) => format.format(new Date(text));
    },
    /** From a bucket's start to its end. */
    span: (start: string, seconds: number) =>
      moment.formatRange(new Date(start), new Date(Date.parse(start) + 1000 * seconds)),
    count: (value: number) => whole.format(value),
    short: (value: number) => short.format(value),
    percent: (value: number) => percents.format(value),
    roughly: (value: number) => rough.format(value),
    /** Three digits that count. */
    number: (value: number) => small.format(value),
    milliseconds: (value: number) => `${value < 100 ? small.format(value) : whole.format(value)} ms`,
    /** A difference of shares, in percentage points. */
    points: (value: number) => points.format(100 * value),
    signed: (value: number) => points.format(value),
    /** A p-value, which below a billionth says no more. */
    p: (value: number) => (value < 1e-9 ? '< 10⁻⁹' : small.format(value)),
  };
}

export type Formats = ReturnType<typeof formats>;

export function useFormats(): Formats {
  const { i18n } = useTranslation();
  return formats(i18n.language);
}
