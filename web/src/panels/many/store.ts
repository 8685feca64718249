import { asProblem, type ApiProblem } from '../../api/problem';
import { isAbort, type UploadOptions } from '../../api/upload';
import type { Batch } from './batches';
import type { Chosen } from './files';
import { keepRecent, readRecent, type RecentBatch } from './recent';
import { sourceOf, type PictureSource } from './sources';

/** An upload that goes on, was refused or cancelled. */
export interface Sending {
  readonly chosen: Chosen;
  readonly task: string;
  readonly status: 'sending' | 'checking' | 'failed' | 'cancelled';
  /** Share of the body that is sent. */
  readonly progress: number;
  readonly problem: ApiProblem | null;
}

export interface ManyState {
  readonly sending: Sending | null;
  /** Newest first. */
  readonly recent: readonly RecentBatch[];
  /** The batch that is looked at; null where another is to be sent. */
  readonly current: string | null;
}

export type Submit = (chosen: Chosen, task: string, options: UploadOptions) => Promise<Batch>;

const CURRENT = 'visionloop.many.batch';

/** Batches of this browser; outside of React, so that an upload goes on while another panel is looked at. */
export class ManyStore {
  private state: ManyState;
  private readonly listeners = new Set<() => void>();
  /** Pictures of what was sent in this visit, by batch. */
  private readonly sources = new Map<string, PictureSource>();
  private running: AbortController | null = null;

  constructor(private readonly submit: Submit) {
    const recent = readRecent();
    const kept = readCurrent();
    this.state = { sending: null, recent, current: recent.some(({ id }) => id === kept) ? kept : null };
  }

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  readonly get = () => this.state;

  source(id: string): PictureSource | null {
    return this.sources.get(id) ?? null;
  }

  /** Send what was chosen; an upload that goes on is given up. */
  async send(chosen: Chosen, task: string): Promise<void> {
    this.running?.abort();
    const abort = new AbortController();
    this.running = abort;
    this.set({ current: null, sending: { chosen, task, status: 'sending', progress: 0, problem: null } });
    const change = (changes: Partial<Sending>) => {
      // What a given-up upload still tells is of no interest.
      if (this.running === abort && this.state.sending) this.set({ sending: { ...this.state.sending, ...changes } });
    };
    try {
      const batch = await this.submit(chosen, task, {
        signal: abort.signal,
        onProgress: (progress) => change({ progress, status: progress < 1 ? 'sending' : 'checking' }),
      });
      this.sources.set(batch.id, sourceOf(chosen));
      this.remember({ id: batch.id, name: chosen.name, task: batch.task });
      if (this.running !== abort) return;
      this.set({ sending: null });
      // Whoever looks at an earlier batch meanwhile is not taken away from it.
      if (this.state.current === null) this.show(batch.id);
    } catch (error) {
      if (isAbort(error)) change({ status: 'cancelled' });
      else change({ status: 'failed', problem: asProblem(error) });
    }
  }

  cancelSending() {
    this.running?.abort();
  }

  /** Forget an upload that was refused or cancelled. */
  dismiss() {
    this.running?.abort();
    this.running = null;
    this.set({ sending: null });
  }

  /** Look at a batch, or at none. */
  show(id: string | null) {
    keepCurrent(id);
    this.set({ current: id });
  }

  /** A batch that is no longer there. */
  forget(id: string) {
    this.sources.delete(id);
    const recent = this.state.recent.filter((batch) => batch.id !== id);
    keepRecent(recent);
    this.set({ recent });
    if (this.state.current === id) this.show(null);
  }

  private remember(batch: RecentBatch) {
    const recent = [batch, ...this.state.recent];
    keepRecent(recent);
    this.set({ recent });
  }

  private set(changes: Partial<ManyState>) {
    this.state = { ...this.state, ...changes };
    this.listeners.forEach((tell) => tell());
  }
}

// Which one is looked at is of this tab; the list is of the browser.
function readCurrent(): string | null {
  try {
    return sessionStorage.getItem(CURRENT);
  } catch {
    return null;
  }
}

function keepCurrent(id: string | null) {
  try {
    if (id === null) sessionStorage.removeItem(CURRENT);
    else sessionStorage.setItem(CURRENT, id);
  } catch {
    // A private window may refuse.
  }
}
