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

export function percentOf(language: string): (share: number) => string {
  const format = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 0 });
  return (share) => format.format(share);
}
