import type { Model } from '../../api/client';
import type { Accuracy, AlertsAnswer, Bucket, ChampionChange, DriftReport, DriftTest, Estimate, History, Summary } from './watch';

/** Series beside the named ones; names of classes and versions cannot begin so. */
export const OTHERS = '\u0000others';
export const NOTHING = '\u0000nothing';

export interface SharesRow {
  readonly start: string;
  readonly total: number;
  /** Counts by name of the series. */
  readonly counts: Readonly<Record<string, number>>;
}

/** "2" before "10", and words by the alphabet: series keep their colours while their sizes change. */
export function sorted(names: readonly string[]): string[] {
  return [...names].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

export function versionRows({ buckets }: Summary): SharesRow[] {
  return buckets.map(({ start, answers, by_version: counts }) => ({ start, total: answers, counts }));
}

/** Names of the class series, and their counts over time. */
export function classRows({ buckets, classes }: Summary): { names: string[]; rows: SharesRow[] } {
  const rows = buckets.map(({ start, answers, by_class, other_classes, found_nothing }) => ({
    start,
    total: answers,
    counts: { ...by_class, [OTHERS]: other_classes, [NOTHING]: found_nothing },
  }));
  const any = (name: string) => rows.some(({ counts }) => (counts as Record<string, number>)[name]);
  return { names: [...sorted(classes), ...[OTHERS, NOTHING].filter(any)], rows };
}

export interface Bounds {
  readonly value: number;
  readonly lower: number;
  readonly upper: number;
}

export interface AccuracyRow {
  readonly start: string;
  readonly feedback: Accuracy | null;
  readonly estimate: Estimate | null;
}

/** Accuracy by feedback of each bucket, and the latest estimate of a drift window that ended in it. */
export function accuracyRows({ buckets, until }: Summary, report: DriftReport | null): AccuracyRow[] {
  const ends = [...buckets.slice(1).map(({ start }) => start), until].map((moment) => Date.parse(moment));
  return buckets.map((bucket, index) => {
    const [begin, end] = [Date.parse(bucket.start), ends[index] ?? 0];
    const windows = (report?.windows ?? []).filter(
      ({ last_at, accuracy }) =>
        last_at !== null && Date.parse(last_at) >= begin && Date.parse(last_at) < end && accuracy.status !== 'unavailable',
    );
    return { start: bucket.start, feedback: bucket.accuracy, estimate: windows.at(-1)?.accuracy ?? null };
  });
}

/** An estimate as long as it stands. */
export function bounds(found: { value: number | null; lower: number | null; upper: number | null } | null): Bounds | null {
  const { value, lower, upper } = found ?? { value: null, lower: null, upper: null };
  return value === null || lower === null || upper === null ? null : { value, lower, upper };
}

export interface Mark {
  /** Start of the bucket it falls into. */
  readonly start: string;
  readonly change: ChampionChange;
}

/** Changes of a task's champions within the time shown, oldest first. */
export function marks({ buckets, until }: Summary, history: History, task: string): Mark[] {
  const models = new Set(history.models.filter((model) => model.task === task).map(({ model }) => model));
  return history.changes
    .filter(({ model }) => models.has(model))
    .map((change) => ({ change, bucket: bucketOf(buckets, until, change.when) }))
    .filter((found): found is { change: ChampionChange; bucket: Bucket } => found.bucket !== null)
    .map(({ change, bucket }) => ({ start: bucket.start, change }))
    .sort((a, b) => a.change.when.localeCompare(b.change.when));
}

function bucketOf(buckets: readonly Bucket[], until: string, moment: string): Bucket | null {
  const at = Date.parse(moment);
  if (at >= Date.parse(until)) return null;
  return buckets.findLast(({ start }) => Date.parse(start) <= at) ?? null;
}

/** Tests that say something, those that say "the same", and those that could not be made. */
export function groupTests(tests: readonly DriftTest[]) {
  const tested = tests.filter(({ outcome }) => outcome === 'tested');
  return {
    drifted: tested.filter(({ drifted }) => drifted),
    same: tested.filter(({ drifted }) => !drifted),
    untested: tests.filter(({ outcome }) => outcome !== 'tested'),
  };
}

/** Counts as shares of their sum. */
export function shares(counts: readonly number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (total ? count / total : 0));
}

/** Ticks for shares from 0 to beyond the largest, in steps of 1, 2 or 5 (or ten or a hundred of them) whole per cents. */
export function shareTicks(largest: number): number[] {
  const step = [1, 2, 5, 10, 20].find((perCents) => 100 * largest <= 5 * perCents) ?? 25;
  const count = Math.max(1, Math.ceil((100 * largest) / step));
  return Array.from({ length: count + 1 }, (_, index) => (index * step) / 100);
}

export type Watched = Pick<AlertsAnswer, 'watched_at' | 'watch_interval_s'>;

/** After so many looks that did not come nobody watches any more. */
const MISSED_LOOKS = 3;
/** Messages that cannot be sent make a look long, a restart takes its time, and clocks differ. */
const LEAST_S = 5 * 60;
/** Where a timer of somebody's own looks, nobody knows how often. */
const UNKNOWN_S = 15 * 60;

/** Whether alerts are looked at these days. */
export function isWatched({ watched_at: last, watch_interval_s: interval }: Watched, now: number): boolean {
  const seconds = interval === null ? UNKNOWN_S : Math.max(LEAST_S, MISSED_LOOKS * interval);
  return last !== null && now - Date.parse(last) < 1000 * seconds;
}

/** The id of each class of a task: its place among the champion's classes, as everywhere on the page. */
export function classIds(models: readonly Model[], task: string): (name: string) => number {
  const ofTask = models.filter((model) => model.task === task);
  const names = (ofTask.find(({ role }) => role === 'champion') ?? ofTask[0])?.classes ?? [];
  const ids = new Map(names.map((name, id) => [name, id]));
  // What an earlier version knew comes after what is known now.
  return (name) => {
    const found = ids.get(name) ?? ids.size;
    ids.set(name, found);
    return found;
  };
}
