import type { TaskAnswer } from '../../api/client';
import { asProblem, type ApiProblem } from '../../api/problem';
import { isAbort } from '../../api/upload';

export type Answers = Readonly<Record<string, TaskAnswer>>;

export interface Picture {
  readonly id: number;
  readonly file: File;
  /** A blob's address, for previews; revoked when the picture is removed. */
  readonly url: string;
  readonly status: 'waiting' | 'sending' | 'working' | 'done' | 'failed' | 'cancelled';
  /** Share of the upload that is sent. */
  readonly progress: number;
  readonly problem: ApiProblem | null;
  /** By task; what was not asked is missing. */
  readonly answers: Answers;
}

/** Asks the service about one file. */
export type Ask = (
  file: File,
  tasks: readonly string[],
  options: { onProgress: (share: number) => void; signal: AbortSignal },
) => Promise<Answers>;

export interface TryState {
  readonly pictures: readonly Picture[];
  readonly selected: number | null;
  /** What was removed last, and can come back until something else is added or removed. */
  readonly removed: readonly Picture[];
}

const PARALLEL = 2;

/** The pictures of this visit and what is known of them; outside of React, so that other panels' visits keep it. */
export class TryStore {
  private state: TryState = { pictures: [], selected: null, removed: [] };
  /** As the pictures stood before the last removal. */
  private order: readonly number[] = [];
  private readonly listeners = new Set<() => void>();
  private readonly running = new Map<number, AbortController>();
  private lastId = 0;
  private tasks: readonly string[] = [];

  constructor(private readonly ask: Ask) {}

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  readonly get = () => this.state;

  /** Which tasks are asked; pictures that lack one of them are asked about again. */
  setTasks(tasks: readonly string[]) {
    this.tasks = tasks;
    for (const picture of this.state.pictures) {
      if (picture.status === 'done' && tasks.some((task) => !picture.answers[task])) {
        this.change(picture.id, { status: 'waiting', progress: 0 });
      }
    }
    this.work();
  }

  /** Add files; the first of them is shown. */
  add(files: readonly File[]) {
    if (files.length === 0) return;
    const added = files.map(
      (file): Picture => ({
        id: ++this.lastId,
        file,
        url: URL.createObjectURL(file),
        status: 'waiting',
        progress: 0,
        problem: null,
        answers: {},
      }),
    );
    this.forget();
    this.set({ pictures: [...this.state.pictures, ...added], selected: added[0]?.id ?? null, removed: [] });
    this.work();
  }

  select(id: number) {
    this.set({ ...this.state, selected: id });
  }

  /** Show the picture so many places further, if there is one. */
  step(by: number) {
    const { pictures, selected } = this.state;
    const next = pictures[pictures.findIndex(({ id }) => id === selected) + by];
    if (next) this.select(next.id);
  }

  cancel(id: number) {
    this.running.get(id)?.abort();
    const picture = this.find(id);
    if (picture?.status === 'waiting') this.change(id, { status: 'cancelled' });
  }

  retry(id: number) {
    this.change(id, { status: 'waiting', progress: 0, problem: null });
    this.work();
  }

  remove(id: number) {
    const index = this.state.pictures.findIndex((picture) => picture.id === id);
    const picture = this.state.pictures[index];
    if (!picture) return;
    const pictures = this.state.pictures.filter((other) => other.id !== id);
    const neighbour = pictures[Math.min(index, pictures.length - 1)]?.id ?? null;
    this.take([picture], { pictures, selected: this.state.selected === id ? neighbour : this.state.selected });
  }

  clear() {
    this.take(this.state.pictures, { pictures: [], selected: null });
  }

  /** Bring back what was removed last, where it was. */
  restore() {
    const { pictures, removed } = this.state;
    const back = removed.map((picture): Picture => {
      const isUnderWay = picture.status === 'sending' || picture.status === 'working';
      return isUnderWay ? { ...picture, status: 'waiting', progress: 0 } : picture;
    });
    const place = new Map(this.order.map((id, index) => [id, index]));
    const all = [...pictures, ...back].sort((a, b) => (place.get(a.id) ?? a.id) - (place.get(b.id) ?? b.id));
    this.set({ pictures: all, selected: back[0]?.id ?? this.state.selected, removed: [] });
    this.work();
  }

  private take(removed: readonly Picture[], left: Omit<TryState, 'removed'>) {
    this.forget();
    this.order = this.state.pictures.map(({ id }) => id);
    for (const { id } of removed) this.running.get(id)?.abort();
    this.set({ ...left, removed });
  }

  private forget() {
    for (const { url } of this.state.removed) URL.revokeObjectURL(url);
  }

  private work() {
    if (this.tasks.length === 0) return;
    for (const picture of this.state.pictures) {
      if (this.running.size >= PARALLEL) return;
      if (picture.status === 'waiting' && !this.running.has(picture.id)) void this.process(picture);
    }
  }

  private async process({ id, file, answers }: Picture) {
    const abort = new AbortController();
    const tasks = this.tasks;
    this.running.set(id, abort);
    this.change(id, { status: 'sending', progress: 0, problem: null });
    try {
      const found = await this.ask(file, tasks, {
        signal: abort.signal,
        onProgress: (share) => this.change(id, { status: share < 1 ? 'sending' : 'working', progress: share }),
      });
      this.change(id, { status: 'done', answers: { ...answers, ...found } });
    } catch (error) {
      if (isAbort(error)) this.change(id, { status: 'cancelled' });
      else this.change(id, { status: 'failed', problem: asProblem(error) });
    } finally {
      this.running.delete(id);
      if (this.tasks === tasks) this.work();
      else this.setTasks(this.tasks);
    }
  }

  private find(id: number) {
    return this.state.pictures.find((picture) => picture.id === id);
  }

  private change(id: number, changes: Partial<Picture>) {
    const pictures = this.state.pictures.map((picture) => (picture.id === id ? { ...picture, ...changes } : picture));
    this.set({ ...this.state, pictures });
  }

  private set(state: TryState) {
    this.state = state;
    this.listeners.forEach((tell) => tell());
  }
}
