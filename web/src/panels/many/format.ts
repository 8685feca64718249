/** Seconds as people say them: seconds up to a minute and a half, then minutes, then hours. */
export function duration(seconds: number, language: string): string {
  const [value, unit] =
    seconds < 90 ? [Math.ceil(seconds), 'second'] : seconds < 5_400 ? [Math.round(seconds / 60), 'minute'] : [seconds / 3_600, 'hour'];
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long', maximumFractionDigits: 1 }).format(value);
}

export function bytes(count: number, language: string): string {
  const [value, unit] = count < 1e6 ? [Math.max(1, Math.round(count / 1e3)), 'kilobyte'] : [count / 1e6, 'megabyte'];
  return new Intl.NumberFormat(language, { style: 'unit', unit, maximumFractionDigits: 1 }).format(value);
}

const percents = new Map<string, Intl.NumberFormat>();

/** Writes shares as per cents; a format costs more to make than to use, so that there is one of each language. */
export function percentOf(language: string): (share: number) => string {
  const format = percents.get(language) ?? new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 0 });
  percents.set(language, format);
  return (share) => format.format(share);
}
