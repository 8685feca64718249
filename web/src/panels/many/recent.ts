import { keepPreference, readPreference } from '../../lib/preferences';

/** A batch that this browser has sent, so that it is found again after a reload. */
export interface RecentBatch {
  readonly id: string;
  /** What the visitor chose: a folder, an archive, a file. */
  readonly name: string;
  readonly task: string;
}

const NAME = 'many.batches';
const MOST = 20;

/** The kept batches, newest first; what cannot be understood is left out. */
export function readRecent(): RecentBatch[] {
  try {
    const kept: unknown = JSON.parse(readPreference(NAME) ?? '[]');
    return Array.isArray(kept) ? kept.filter(isRecent).slice(0, MOST) : [];
  } catch {
    return [];
  }
}

export function keepRecent(batches: readonly RecentBatch[]) {
  keepPreference(NAME, JSON.stringify(batches.slice(0, MOST)));
}

function isRecent(value: unknown): value is RecentBatch {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['id', 'name', 'task'].every((name) => typeof (value as Record<string, unknown>)[name] === 'string')
  );
}
