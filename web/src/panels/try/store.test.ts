import { beforeEach, describe, expect, it, vi } from 'vitest';

import type { TaskAnswer } from '../../api/client';
import { ApiProblem } from '../../api/problem';
import { samplesFor } from './AddPictures';
import { csvOf, jsonOf } from './results';
import { limitOf } from './sizes';
import { TryStore, type Answers, type Ask } from './store';

const file = (name = 'a.png') => new File(['x'], name, { type: 'image/png' });
const answer = {
  model: { task: 'detection', name: 'finder', version: '3', role: 'champion' },
  predictions: [{ id: '1', image: { width: 4, height: 4 }, detections: [] }],
  timings_ms: { decode: 1, queue: 1, inference: 1, total: 4 },
  request_id: 'r',
} as unknown as TaskAnswer;

/** A service whose answers come when the test says so. */
function slowService() {
  const calls: { tasks: readonly string[]; signal: AbortSignal; resolve: (a: Answers) => void; reject: (e: unknown) => void }[] = [];
  const ask: Ask = (_, tasks, { signal }) =>
    new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new DOMException('cancelled', 'AbortError')));
      calls.push({ tasks, signal, resolve, reject });
    });
  return { ask, calls };
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

describe('the pictures of a visit', () => {
  const revoked = vi.fn();
  beforeEach(() => {
    revoked.mockClear();
    let number = 0;
    URL.createObjectURL = () => `blob:${++number}`;
    URL.revokeObjectURL = revoked;
  });

  it('are asked about two at a time, in their order', async () => {
    const { ask, calls } = slowService();
    const store = new TryStore(ask);
    store.setTasks(['detection']);
    store.add([file('a'), file('b'), file('c')]);
    expect(calls).toHaveLength(2);
    calls[0]?.resolve({ detection: answer });
    await settled();
    expect(calls).toHaveLength(3);
    expect(store.get().pictures.map(({ status }) => status)).toEqual(['done', 'sending', 'sending']);
    expect(store.get().selected).toBe(1);
  });

  it('wait until it is known what to ask', () => {
    const { ask, calls } = slowService();
    const store = new TryStore(ask);
    store.add([file()]);
    expect(calls).toHaveLength(0);
    store.setTasks(['detection']);
    expect(calls).toHaveLength(1);
  });

  it('are cancelled and tried again', async () => {
    const { ask, calls } = slowService();
    const store = new TryStore(ask);
    store.setTasks(['detection']);
    store.add([file()]);
    store.cancel(1);
    await settled();
    expect(store.get().pictures[0]?.status).toBe('cancelled');
    store.retry(1);
    calls[1]?.reject(new ApiProblem('overloaded', 503, 'busy'));
    await settled();
    expect(store.get().pictures[0]).toMatchObject({ status: 'failed', problem: { code: 'overloaded' } });
  });

  it('are asked again for a task that is missing, but not for ever', async () => {
    const { ask, calls } = slowService();
    const store = new TryStore(ask);
    store.setTasks(['detection']);
    store.add([file()]);
    calls[0]?.resolve({ detection: answer });
    await settled();
    store.setTasks(['detection', 'classification']);
    expect(calls[1]?.tasks).toEqual(['detection', 'classification']);
    calls[1]?.resolve({ detection: answer }); // the other task was taken away meanwhile
    await settled();
    expect(calls).toHaveLength(2);
    expect(store.get().pictures[0]?.status).toBe('done');
  });

  it('leave nothing behind when they are removed', async () => {
    const { ask, calls } = slowService();
    const store = new TryStore(ask);
    store.setTasks(['detection']);
    store.add([file('a'), file('b'), file('c')]);
    store.remove(1);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(store.get().selected).toBe(2);
    store.clear();
    expect(revoked).toHaveBeenCalledWith('blob:1');
    await settled();
    expect(store.get()).toMatchObject({ pictures: [], selected: null });
    store.add([file('d')]);
    expect(store.get().removed).toEqual([]);
    expect(revoked).toHaveBeenCalledTimes(3);
  });

  it('come back to where they were, and go on', async () => {
    const { ask, calls } = slowService();
    const store = new TryStore(ask);
    store.setTasks(['detection']);
    store.add([file('a'), file('b'), file('c')]);
    calls[0]?.resolve({ detection: answer });
    await settled();
    store.remove(2);
    await settled();
    expect(store.get().removed).toHaveLength(1);
    store.restore();
    expect(store.get()).toMatchObject({ selected: 2, removed: [] });
    expect(store.get().pictures.map(({ id }) => id)).toEqual([1, 2, 3]);
    calls.at(-1)?.resolve({ detection: answer });
    await settled();
    expect(store.get().pictures[1]?.status).toBe('done');
    store.clear();
    store.restore();
    expect(store.get().pictures.map(({ status }) => status)).toEqual(['done', 'done', expect.any(String)]);
    expect(revoked).not.toHaveBeenCalled();
    store.step(-1);
    expect(store.get().selected).toBe(1);
    store.step(1);
    expect(store.get().selected).toBe(2);
  });

  it('too large: the limit is known', () => {
    const facts = { where: '', expected: 'at most 10 MB per image (1 MB is 10**6 bytes)', action: '' };
    expect(limitOf(new ApiProblem('image_too_many_bytes', 413, '', facts))).toBe(10e6);
    expect(limitOf(new ApiProblem('image_empty', 400, '', facts))).toBeNull();
  });

  it('refused for what they are: sending them again is of no use', () => {
    const passes = [0, 400, 413, 415, 422, 429, 503].filter((status) => new ApiProblem('x', status, '').mayPass);
    expect(passes).toEqual([0, 429, 503]);
  });

  it('are saved with the boxes that are shown', () => {
    const picture = {
      id: 1,
      file: file('a.png'),
      url: '',
      status: 'done',
      progress: 1,
      problem: null,
      answers: { detection: answer },
    } as const;
    const box = { class: 'cat', class_id: 0, score: 0.5, box_xyxy: [1, 2, 3, 4] as const } as never;
    expect(csvOf(picture, [box])).toBe(
      'image,task,model,version,class,score,x_min,y_min,x_max,y_max\r\na.png,detection,finder,3,cat,0.5,1,2,3,4\r\n',
    );
    expect(JSON.parse(jsonOf(picture, [box]))).toMatchObject({
      results: { detection: { predictions: [{ detections: [{ class: 'cat' }] }] } },
    });
  });
});

describe('samples', () => {
  const digits = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
  const offered = (...models: { task: string; classes: string[] }[]) => samplesFor(models).map(({ name }) => name);

  it('are offered by task, where a model knows the ten digits and nothing else', () => {
    const [one, many] = [['digit.png'], ['scene-1.jpg', 'scene-2.jpg', 'scene-3.jpg']];
    const leaves = { task: 'classification', classes: ['birch', 'oak'] };
    expect(offered({ task: 'classification', classes: digits })).toEqual(one);
    expect(offered(leaves, { task: 'detection', classes: [...digits].reverse() })).toEqual(many);
    expect(offered(leaves, { task: 'detection', classes: [...digits, 'none'] })).toEqual([]);
    expect(offered()).toEqual([]);
  });
});
