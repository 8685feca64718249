import { useQuery } from '@tanstack/react-query';

import { api, asked, type Model, type Schemas } from '../../api/client';
import { numbers } from '../../lib/numbers';

export type History = Schemas['HistoryAnswer'];
export type CatalogModel = Schemas['CatalogModel'];
export type Version = Schemas['VersionBody'];
export type Change = Schemas['ChampionChangeBody'];
export type Asked = Schemas['ChangeBody'];

/** Every registered version, and every change of a champion. */
export function useHistory() {
  return useQuery({
    queryKey: ['models', 'history'],
    queryFn: async () => (await asked(() => api.GET('/v1/models/history'))) as History,
    refetchInterval: 30_000,
  });
}

/** Have what serves changed; a line that says what came of it. */
export async function change(body: Asked): Promise<string> {
  return (await asked(() => api.POST('/v1/models/change', { body }))).summary;
}

export interface MetricRow {
  readonly name: string;
  readonly a: number | null;
  readonly b: number | null;
  readonly intervalA: readonly [number, number] | null;
  readonly intervalB: readonly [number, number] | null;
  /** b less a; null where one is missing. */
  readonly difference: number | null;
}

/** The metrics of two versions side by side, the primary one first, then by name. */
export function compared(a: Version, b: Version): MetricRow[] {
  const names = [...new Set([...Object.keys(a.metrics), ...Object.keys(b.metrics)])].sort();
  const first = b.primary_metric;
  const ordered = names.includes(first) ? [first, ...names.filter((name) => name !== first)] : names;
  return ordered.map((name) => {
    const [valueA, valueB] = [a.metrics[name] ?? null, b.metrics[name] ?? null];
    return {
      name,
      a: valueA,
      b: valueB,
      intervalA: a.intervals[name] ?? null,
      intervalB: b.intervals[name] ?? null,
      difference: valueA === null || valueB === null ? null : valueB - valueA,
    };
  });
}

/** The champion of a model, by its alias or else by what serves. */
export function championOf(model: CatalogModel, serving: readonly Model[]): string | null {
  const named = model.versions.find(({ aliases }) => aliases.includes('champion'))?.version;
  return named ?? serving.find(({ name, role }) => name === model.model && role === 'champion')?.version ?? null;
}

/**
 * A number of a metric, with the same digits wherever it stands, so that a column can be compared by eye: four after
 * the point, three that count for what has a unit, none for what is counted.
 */
export function metricText(name: string, value: number | null, language: string): string {
  if (value === null) return '–';
  const unit = UNITS.find(([end]) => name.endsWith(end))?.[1];
  if (unit) return `${numbers(language).number(value)} ${unit}`;
  return numbers(language).fixed(value, name.startsWith('num_') ? 0 : 4);
}

const UNITS = [
  ['_ms', 'ms'],
  ['_mb', 'MB'],
] as const;

/** As `metricText` has it, with a sign, for differences. */
export function differenceText(name: string, value: number | null, language: string): string {
  if (value === null) return '–';
  const text = metricText(name, Math.abs(value), language);
  return `${value > 0 ? '+' : value < 0 ? '−' : ''}${text}`;
}
