import { useTranslation } from 'react-i18next';

/** How a language writes numbers. */
export interface Numbers {
  /** What is counted: "1,234". */
  readonly count: (value: number) => string;
  /** The same in little room: "1.2K". */
  readonly short: (value: number) => string;
  /** Three digits that count. */
  readonly number: (value: number) => string;
  /** At most one digit after the point, as of a rate. */
  readonly tenths: (value: number) => string;
  /** So many digits after the point, no more and no fewer, for columns. */
  readonly fixed: (value: number, digits: number) => string;
  /** A share as whole per cents. */
  readonly percent: (share: number) => string;
  /** With a digit after the point where it is not zero. */
  readonly finePercent: (share: number) => string;
  /** Always with one digit after the point, so that figures side by side can be compared. */
  readonly evenPercent: (share: number) => string;
  readonly milliseconds: (value: number) => string;
  /** A number with its sign, unless it is zero. */
  readonly signed: (value: number) => string;
  /** A file's size in kB or MB. */
  readonly bytes: (count: number) => string;
  /** Seconds as people say them: seconds up to a minute and a half, then minutes, then hours. */
  readonly duration: (seconds: number) => string;
}

const known = new Map<string, Numbers>();

/** The one place that writes numbers; a format costs more to make than to use, so that a language has one of each. */
export function numbers(language: string): Numbers {
  const before = known.get(language);
  if (before) return before;
  const format = (options: Intl.NumberFormatOptions) => {
    const made = new Intl.NumberFormat(language, options);
    return (value: number) => made.format(value);
  };
  const unit = (name: string, unitDisplay: 'short' | 'long') =>
    format({ style: 'unit', unit: name, unitDisplay, maximumFractionDigits: 1 });
  const count = format({ maximumFractionDigits: 0 });
  const number = format({ maximumSignificantDigits: 3 });
  const [kilobytes, megabytes] = [unit('kilobyte', 'short'), unit('megabyte', 'short')];
  const [seconds, minutes, hours] = [unit('second', 'long'), unit('minute', 'long'), unit('hour', 'long')];
  const fixed = new Map<number, (value: number) => string>();
  const found: Numbers = {
    count,
    short: format({ notation: 'compact', maximumFractionDigits: 1 }),
    number,
    tenths: format({ maximumFractionDigits: 1 }),
    fixed: (value, digits) => {
      const write = fixed.get(digits) ?? format({ minimumFractionDigits: digits, maximumFractionDigits: digits });
      fixed.set(digits, write);
      return write(value);
    },
    percent: format({ style: 'percent', maximumFractionDigits: 0 }),
    finePercent: format({ style: 'percent', maximumFractionDigits: 1 }),
    evenPercent: format({ style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 }),
    milliseconds: (value) => `${value < 100 ? number(value) : count(value)} ms`,
    signed: format({ maximumFractionDigits: 1, signDisplay: 'exceptZero' }),
    bytes: (value) => (value < 1e6 ? kilobytes(Math.max(1, Math.round(value / 1e3))) : megabytes(value / 1e6)),
    duration: (value) =>
      value < 90 ? seconds(Math.ceil(value)) : value < 5_400 ? minutes(Math.round(value / 60)) : hours(value / 3_600),
  };
  known.set(language, found);
  return found;
}

export function useNumbers(): Numbers {
  const { i18n } = useTranslation();
  return numbers(i18n.language);
}
