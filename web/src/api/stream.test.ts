import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { setApiKey } from './key';
import { ApiProblem } from './problem';
import { backOff, FrameStream, type Answered, type StreamOptions, type StreamStatus } from './stream';

class FakeSocket {
  readyState: number = WebSocket.CONNECTING;
  readonly sent: Blob[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {}

  send(data: Blob) {
    this.sent.push(data);
  }

  open() {
    this.readyState = WebSocket.OPEN;
    this.onopen?.();
  }

  answer(frame: number) {
    const body = { frame, dropped: 0, model: null, prediction: null, ms: 1 };
    this.onmessage?.({ data: JSON.stringify(body) });
  }

  close() {
    this.readyState = WebSocket.CLOSED;
    this.onclose?.();
  }
}

const FRAME = new Blob(['x']);
let sockets: FakeSocket[];
let statuses: StreamStatus[];
let answers: Answered<string>[];
let time: number;

function start(options: Partial<StreamOptions<string>> = {}) {
  return new FrameStream<string>({
    task: 'detection',
    onStatus: (status) => statuses.push(status),
    onAnswer: (answered) => answers.push(answered),
    makeSocket: (url, protocols) => {
      const socket = new FakeSocket(url, protocols);
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
    probe: () => Promise.resolve(),
    now: () => time,
    ...options,
  });
}

const socket = (index = 0) => {
  const found = sockets[index];
  if (!found) throw new Error(`no socket ${index}`);
  return found;
};

beforeEach(() => {
  vi.useFakeTimers();
  [sockets, statuses, answers, time] = [[], [], [], 0];
});

afterEach(() => {
  vi.useRealTimers();
  setApiKey(null);
});

describe('FrameStream', () => {
  it('asks for the task, and gives the key where there is one', () => {
    start();
    expect(socket().url).toMatch(/^ws:.*\/v1\/stream\?task=detection$/);
    expect(socket().protocols).toEqual([]);
    setApiKey('vl_0_x-y');
    start();
    expect(socket(1).protocols).toEqual(['visionloop', 'visionloop.key.vl_0_x-y']);
  });

  it('gives no key that could not be a subprotocol, over which a browser would fail', () => {
    setApiKey('schlüssel mit, komma');
    start();
    expect(socket().protocols).toEqual([]);
  });

  it('has two frames under way at most', () => {
    const stream = start();
    expect(stream.isFree).toBe(false);
    socket().open();
    stream.send(FRAME, 'a');
    expect(stream.isFree).toBe(true);
    stream.send(FRAME, 'b');
    expect(stream.isFree).toBe(false);
    socket().answer(1);
    expect([stream.isFree, stream.pending]).toEqual([true, 1]);
  });

  it('tells which frame was answered, and how long it took', () => {
    const stream = start();
    socket().open();
    stream.send(FRAME, 'a');
    time = 10;
    stream.send(FRAME, 'b');
    time = 40;
    socket().answer(2); // the first was dropped
    expect(answers.map(({ tag, latencyMs }) => [tag, latencyMs])).toEqual([['b', 30]]);
    expect(stream.pending).toBe(0);
  });

  it('connects again, later each time, until something is answered', async () => {
    const stream = start();
    for (const wait of [500, 1000, 2000]) {
      const number = sockets.length;
      socket(number - 1).close();
      await vi.advanceTimersByTimeAsync(wait - 1);
      expect(sockets).toHaveLength(number);
      await vi.advanceTimersByTimeAsync(1);
      expect(sockets).toHaveLength(number + 1);
    }
    socket(3).open();
    stream.send(FRAME, 'a');
    socket(3).answer(1);
    socket(3).close();
    await vi.advanceTimersByTimeAsync(500);
    expect(sockets).toHaveLength(5);
    expect([backOff(0), backOff(20)]).toEqual([500, 15_000]);
  });

  it('says what is refused, and does not try that again by itself', async () => {
    const refused = new ApiProblem('role_too_low', 403, 'no');
    const stream = start({ probe: () => Promise.reject(refused) });
    socket().close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(statuses.at(-1)).toEqual({ state: 'refused', problem: refused });
    expect(sockets).toHaveLength(1);
    stream.retry();
    expect(sockets).toHaveLength(2);
  });

  it('waits as long as the service asks it to', async () => {
    const busy = new ApiProblem('rate_limited', 429, 'slow down', undefined, 7);
    start({ probe: () => Promise.reject(busy) });
    socket().close();
    await vi.advanceTimersByTimeAsync(6_999);
    expect(statuses.at(-1)).toEqual({ state: 'waiting', problem: busy, retryAt: 7000 });
    expect(sockets).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(sockets).toHaveLength(2);
  });

  it('takes the refusal that the stream itself sends', async () => {
    start();
    socket().open();
    const problem = { code: 'bad_option', status: 400, detail: 'd', where: 'w', expected: 'e', action: 'a' };
    socket().onmessage?.({ data: JSON.stringify({ problem }) });
    socket().close();
    await vi.advanceTimersByTimeAsync(0);
    expect(statuses.at(-1)).toMatchObject({ state: 'refused', problem: { code: 'bad_option', status: 400 } });
  });

  it('gives up frames of a lost connection, or sends them again', async () => {
    for (const resend of [false, true]) {
      sockets = [];
      const stream = start({ resend });
      socket().open();
      stream.send(FRAME, 'a');
      socket().close();
      await vi.advanceTimersByTimeAsync(500);
      socket(1).open();
      expect(socket(1).sent).toHaveLength(resend ? 1 : 0);
      expect(stream.pending).toBe(resend ? 1 : 0);
    }
  });

  it('takes a connection for dead that owes an answer for long, and none that owes nothing', async () => {
    const stream = start();
    socket().open();
    stream.send(FRAME, 'a');
    socket().answer(1);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(sockets).toHaveLength(1);
    stream.send(FRAME, 'b');
    await vi.advanceTimersByTimeAsync(30_000);
    expect(statuses.at(-1)).toMatchObject({ state: 'waiting', problem: { code: 'unreachable' } });
    await vi.advanceTimersByTimeAsync(500);
    expect(sockets).toHaveLength(2);
  });

  it('stays closed', async () => {
    const stream = start();
    socket().open();
    stream.close();
    await vi.advanceTimersByTimeAsync(60_000);
    stream.retry();
    expect(sockets).toHaveLength(1);
    expect(statuses.at(-1)).toEqual({ state: 'closed' });
  });
});
