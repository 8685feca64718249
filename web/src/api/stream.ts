import { api, asked, type Schemas } from './client';
import { apiKey } from './key';
import { ApiProblem, problemOf, unreachable } from './problem';

type Body = Schemas['FrameAnswer'];

/** What has no value is left out. */
export interface FrameAnswer extends Pick<Body, 'frame' | 'dropped'>, Partial<Pick<Body, 'model' | 'ms' | 'problem'>> {
  readonly prediction?: FramePrediction | null;
}

/** As a request's, without an id: frames are not kept. */
export type FramePrediction = Pick<Schemas['PredictionBody'], 'image'> &
  Partial<Pick<Schemas['PredictionBody'], 'ranked' | 'detections'>>;

export type StreamStatus =
  | { readonly state: 'connecting' | 'open' | 'closed' }
  /** It is tried again by itself, at `retryAt` of the clock. */
  | { readonly state: 'waiting'; readonly problem: ApiProblem; readonly retryAt: number }
  /** Trying again would change nothing. */
  | { readonly state: 'refused'; readonly problem: ApiProblem };

export interface Answered<Tag> {
  readonly answer: FrameAnswer;
  /** What the frame was sent with. */
  readonly tag: Tag;
  /** Milliseconds from sending to the answer. */
  readonly latencyMs: number;
}

export interface StreamOptions<Tag> {
  readonly task: string;
  /** Least score of a box in the answers; by default the model's operating point. */
  readonly threshold?: number | undefined;
  readonly onAnswer: (answered: Answered<Tag>) => void;
  readonly onStatus: (status: StreamStatus) => void;
  /** Whether frames that were under way when the connection broke are sent again; a camera has newer ones. */
  readonly resend?: boolean;
  readonly makeSocket?: (url: string, protocols: string[]) => WebSocket;
  /** Asks why a connection is refused: a browser does not say what was answered to it. */
  readonly probe?: () => Promise<unknown>;
  readonly now?: () => number;
}

/** The service keeps two waiting frames besides the one it works on: of two none is ever dropped. */
const IN_FLIGHT = 2;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** After so long without an answer that is owed, the connection is taken for dead; the service answers sooner. */
const STALL_MS = 30_000;
/** What a key may consist of to be a subprotocol's name (RFC 9110, token). */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

interface Sent<Tag> {
  /** The frame's place in this connection, from 1. */
  readonly number: number;
  readonly data: Blob;
  readonly tag: Tag;
  readonly at: number;
}

/** Frames out, answers in, over a WebSocket that is opened again when it breaks. */
export class FrameStream<Tag> {
  private socket: WebSocket | null = null;
  private sent: Sent<Tag>[] = [];
  private count = 0;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stall: ReturnType<typeof setTimeout> | undefined;
  private isClosed = false;
  private waiters: (() => void)[] = [];

  constructor(private readonly options: StreamOptions<Tag>) {
    this.connect();
  }

  /** Whether a frame sent now would be worked on at once, or next. */
  get isFree(): boolean {
    return this.socket?.readyState === WebSocket.OPEN && this.sent.length < IN_FLIGHT;
  }

  /** Frames without an answer yet. */
  get pending(): number {
    return this.sent.length;
  }

  /** Send an encoded image; without a connection it is given up. */
  send(data: Blob, tag: Tag) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(data);
    this.sent.push({ number: ++this.count, data, tag, at: this.now() });
    this.watch();
  }

  /** Resolves when something has changed: an answer, a connection, the end. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  /** Connect at once, in place of waiting or after a refusal. */
  retry() {
    clearTimeout(this.timer);
    if (!this.isClosed && this.socket === null) this.connect();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    clearTimeout(this.stall);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.sent = [];
    this.tell({ state: 'closed' });
  }

  private connect() {
    const key = apiKey();
    const protocols = key !== null && TOKEN.test(key) ? ['visionloop', `visionloop.key.${key}`] : [];
    const url = new URL('/v1/stream', window.location.href);
    url.searchParams.set('task', this.options.task);
    if (this.options.threshold !== undefined) url.searchParams.set('threshold', String(this.options.threshold));
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const make = this.options.makeSocket ?? ((to, names) => new WebSocket(to, names));
    const socket = make(url.href, protocols);
    let wasOpen = false;
    let refusal: ApiProblem | null = null;
    this.socket = socket;
    this.tell({ state: 'connecting' });
    socket.onopen = () => {
      wasOpen = true;
      this.count = 0;
      const lost = this.sent;
      this.sent = [];
      if (this.options.resend) for (const { data, tag } of lost) this.send(data, tag);
      this.tell({ state: 'open' });
    };
    socket.onmessage = ({ data }: MessageEvent<string>) => {
      const message = JSON.parse(data) as FrameAnswer;
      if ('frame' in message) this.take(message);
      else refusal = refusalOf(message);
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      clearTimeout(this.stall);
      void this.fail(wasOpen, refusal);
    };
  }

  private take(answer: FrameAnswer) {
    this.failures = 0;
    // Answers come in order: what lies before this one was dropped.
    const index = this.sent.findIndex(({ number }) => number === answer.frame);
    const sent = this.sent[index];
    if (!sent) return;
    this.sent = this.sent.slice(index + 1);
    this.watch();
    this.options.onAnswer({ answer, tag: sent.tag, latencyMs: this.now() - sent.at });
    this.wake();
  }

  private watch() {
    clearTimeout(this.stall);
    if (this.sent.length > 0) this.stall = setTimeout(() => this.socket?.close(), STALL_MS);
  }

  private async fail(wasOpen: boolean, refusal: ApiProblem | null) {
    let problem = refusal ?? unreachable();
    if (!wasOpen) {
      const probe = this.options.probe ?? (() => asked(() => api.GET('/v1/models')));
      try {
        await probe();
      } catch (error) {
        if (error instanceof ApiProblem) problem = error;
      }
    }
    if (this.isClosed || this.socket !== null) return;
    if (!problem.isTransient) {
      this.tell({ state: 'refused', problem });
      return;
    }
    const wait = Math.max(backOff(this.failures), 1000 * (problem.retryAfter ?? 0));
    this.failures += 1;
    this.timer = setTimeout(() => this.connect(), wait);
    this.tell({ state: 'waiting', problem, retryAt: this.now() + wait });
  }

  private now(): number {
    return (this.options.now ?? (() => performance.now()))();
  }

  private tell(status: StreamStatus) {
    this.options.onStatus(status);
    this.wake();
  }

  private wake() {
    const waiters = this.waiters;
    this.waiters = [];
    waiters.forEach((resolve) => resolve());
  }
}

/** Milliseconds before the next attempt, after so many that failed. */
export function backOff(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
}

/** The refusal of one frame, or of the stream. */
export function refusalOf(message: { readonly problem?: unknown }): ApiProblem {
  const { status } = (message.problem ?? {}) as { status?: unknown };
  return problemOf(typeof status === 'number' ? status : 0, message.problem, () => null);
}
