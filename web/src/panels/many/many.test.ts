import { beforeEach, describe, expect, it } from 'vitest';

import { ApiProblem } from '../../api/problem';
import type { Batch } from './batches';
import { choose, fromDrop, fromInput, type Chosen } from './files';
import { moved } from './grid';
import { keepRecent, readRecent } from './recent';
import { EVERYTHING, failuresByCode, filtered, histogram, leastScore, matching, parseRows, picturesBySubject, sorted, type Row } from './rows';
import { sourceOf } from './sources';
import { ManyStore, type Submit } from './store';

const RESULT = [
  { index: 0, image: 'b/10.png', width: 4, height: 3, class: 'cat', class_id: 1, score: 0.9, ranked: [{ class: 'cat', class_id: 1, score: 0.9 }] },
  { index: 1, image: 'b/9.png', width: 4, height: 3, class: 'ant', class_id: 0, score: 0.4, ranked: [] },
  { index: 2, image: 'bad.png', error: { code: 'image_truncated', detail: 'damaged' } },
  {
    index: 3,
    image: 'boxes.png',
    width: 8,
    height: 8,
    detections: [
      { class: 'cat', class_id: 1, score: 1, box_xyxy: [0, 0, 4, 4] },
      { class: 'bee', class_id: 2, score: 0.2, box_xyxy: [1, 1, 2, 2] },
    ],
  },
  { index: 4, image: 'empty.png', width: 8, height: 8, detections: [] },
]
  .map((line) => JSON.stringify(line))
  .join('\n');
const rows = parseRows(`${RESULT}\n`);
const names = (found: readonly Row[]) => found.map(({ index }) => index);

describe('rows', () => {
  it('are read from lines of JSON, of either task', () => {
    expect(rows).toHaveLength(5);
    expect(rows[0]).toMatchObject({ found: [{ class: 'cat', score: 0.9 }], error: null });
    expect(rows[2]).toMatchObject({ width: 0, found: [], error: { code: 'image_truncated' } });
    expect(rows[3]?.found).toHaveLength(2);
    expect(parseRows('')).toEqual([]);
  });

  it('know their stored prediction, where there is one', () => {
    const line = (more: object) => JSON.stringify({ index: 0, image: 'a.png', ...more });
    const error = { code: 'x', detail: '' };
    const told = [{ id: 'abc', detections: [] }, { detections: [] }, { id: 'abc', error }].map((more) => parseRows(line(more))[0]?.id);
    expect(told).toEqual(['abc', null, null]);
  });

  it('are sorted with the unsure ones first, failures last', () => {
    expect(rows.map(({ found }) => leastScore(found))).toEqual([0.9, 0.4, Infinity, 0.2, Infinity]);
    expect(names(sorted(rows, 'unsure', 'en'))).toEqual([3, 1, 0, 4, 2]);
  });

  it('are sorted by name as people count, and by the class of what is most certain', () => {
    expect(names(sorted(rows, 'name', 'en'))).toEqual([1, 0, 3, 4, 2]);
    expect(names(sorted(rows, 'class', 'en'))).toEqual([1, 0, 3, 4, 2]);
  });

  it('are filtered by class, confidence, and lack of either', () => {
    const by = (subject: typeof EVERYTHING.subject, range: [number, number] = [0, 1]) =>
      names(filtered(rows, { subject, range }));
    expect(by('all')).toEqual([0, 1, 2, 3, 4]);
    expect(by('class:cat')).toEqual([0, 3]);
    expect(by('class:cat', [0.95, 1])).toEqual([3]);
    expect(by('all', [0.3, 0.5])).toEqual([1]);
    expect(by('nothing', [0.3, 0.5])).toEqual([4]);
    expect(by('failed')).toEqual([2]);
    const [, , , boxes] = rows;
    if (!boxes) throw new Error('no row');
    expect(matching(boxes, { subject: 'all', range: [0.1, 0.3] }).map((item) => item.class)).toEqual(['bee']);
  });

  it('are counted as pictures by class, within a confidence', () => {
    const both = [...rows, ...rows.slice(3, 4).map((row) => ({ ...row, found: [...row.found, ...row.found] }))];
    const counted = (range: [number, number]) => {
      const { all, nothing, failed, classes } = picturesBySubject(both, { range });
      return { all, nothing, failed, classes: classes.map(({ name, count }) => `${name} ${count}`) };
    };
    expect(counted([0, 1])).toEqual({ all: 6, nothing: 1, failed: 1, classes: ['ant 1', 'cat 3', 'bee 2'] });
    expect(counted([0.5, 1])).toEqual({ all: 3, nothing: 1, failed: 1, classes: ['ant 0', 'cat 3', 'bee 0'] });
  });

  it('are sorted by what of them the filter shows', () => {
    const filter = { subject: 'all', range: [0.7, 1] } as const;
    expect(names(sorted(filtered(rows, filter), 'unsure', 'en', filter))).toEqual([0, 3]);
    expect(names(sorted(filtered(rows, EVERYTHING), 'unsure', 'en')).slice(0, 1)).toEqual([3]);
  });

  it('are counted in parts of the confidence, with 1 in the last', () => {
    expect(histogram(rows)).toEqual([0, 0, 1, 0, 1, 0, 0, 0, 0, 2]);
  });

  it('tell failures by their reason', () => {
    expect(failuresByCode(rows)).toEqual([{ code: 'image_truncated', detail: 'damaged', images: ['bad.png'] }]);
  });
});

const file = (name: string, content = 'x') => new File([content], name.split('/').at(-1) ?? name);
const named = (...all: string[]) => all.map((name) => ({ name, file: file(name) }));

describe('what is chosen', () => {
  it('of loose files has a name that says how many there are', () => {
    expect(choose(named('b.png', 'a.png', 'c.png'))?.name).toBe('a.png +2');
    expect(choose(named('a.png'))?.name).toBe('a.png');
  });

  it('is the images of a folder in the order of their names, without what is hidden', () => {
    const chosen = choose(named('set/10.PNG', 'set/9.jpg', 'set/notes.txt', 'set/.DS_Store', 'set/.git/a.png'));
    expect(chosen).toMatchObject({ name: 'set', bytes: 2, left: [{ name: 'set/notes.txt', reason: 'type' }] });
    expect(chosen?.content.kind === 'images' && chosen.content.images.map(({ name }) => name)).toEqual(['set/9.jpg', 'set/10.PNG']);
  });

  it('is one archive, but no archive among other files', () => {
    expect(choose(named('a.ZIP'))?.content.kind).toBe('zip');
    expect(choose(named('a.zip', 'b.png'))).toMatchObject({ name: 'b.png', left: [{ name: 'a.zip' }], content: { kind: 'images' } });
    expect(choose(named('a.txt'))).toBeNull();
    expect(choose([])).toBeNull();
  });

  it('leaves out what is larger than the service takes, by name, and goes on with the rest', () => {
    const files = [...named('a.png', 'c.png'), { name: 'b.png', file: file('b.png', 'xxxx') }];
    const chosen = choose(files, 3);
    expect(chosen).toMatchObject({ name: 'a.png +1', bytes: 2, left: [{ name: 'b.png', reason: 'size', bytes: 4 }] });
    expect(choose(files.slice(2), 3)).toMatchObject({ name: 'b.png', content: { images: [] }, left: [{ reason: 'size' }] });
    expect(choose(files.slice(2))?.left).toEqual([]);
  });

  it('keeps the paths of a folder', () => {
    const inFolder = Object.defineProperty(file('a.png'), 'webkitRelativePath', { value: 'set/a.png' });
    expect(fromInput([inFolder, file('b.png')]).map(({ name }) => name)).toEqual(['set/a.png', 'b.png']);
  });

  it('is walked through where folders are dropped, a hundred entries at a time', async () => {
    const entryOf = (name: string) => ({ isFile: true, fullPath: `/set/${name}`, file: (tell: (f: File) => void) => tell(file(name)) });
    const parts = [[entryOf('a.png')], [entryOf('b.png')], []];
    const folder = { isFile: false, createReader: () => ({ readEntries: (tell: (e: object[]) => void) => tell(parts.shift() ?? []) }) };
    const items = [
      { kind: 'string' },
      { kind: 'file', webkitGetAsEntry: () => folder, getAsFile: () => null },
      { kind: 'file', webkitGetAsEntry: () => null, getAsFile: () => file('c.png') },
    ];
    const found = await fromDrop({ items } as unknown as DataTransfer);
    expect(found.map(({ name }) => name)).toEqual(['set/a.png', 'set/b.png', 'c.png']);
  });

  it('gives the pictures of rows by their place, since names may come twice', async () => {
    const chosen = choose([{ name: 'a.png', file: file('a.png', 'first') }, { name: 'a.png', file: file('a.png', 'second one') }]);
    if (!chosen) throw new Error('nothing chosen');
    const [first] = rows;
    if (!first) throw new Error('no row');
    expect((await sourceOf(chosen).read({ ...first, index: 1 }))?.size).toBe(10);
    expect(await sourceOf(chosen).read({ ...first, index: 2 })).toBeNull();
  });
});

describe('keys in the grid', () => {
  const at = (key: string, from: number, toEnds = false) => moved(key, from, { columns: 4, count: 10, page: 2, toEnds });
  it('move by cells, lines and pages, and stop at the ends', () => {
    expect([at('ArrowRight', 3), at('ArrowRight', 9), at('ArrowLeft', 0)]).toEqual([4, 9, 0]);
    expect([at('ArrowDown', 1), at('ArrowDown', 7), at('ArrowUp', 2), at('ArrowUp', 6)]).toEqual([5, 9, 2, 2]);
    expect([at('PageDown', 1), at('PageDown', 3), at('PageUp', 9), at('PageUp', 6)]).toEqual([9, 9, 1, 2]);
    expect([at('Home', 6), at('End', 5), at('End', 8), at('Home', 6, true), at('End', 0, true)]).toEqual([4, 7, 9, 0, 9]);
    expect(at('x', 1)).toBeNull();
  });
});

describe('batches of this browser', () => {
  beforeEach(() => {
    localStorage.clear();
    sessionStorage.clear();
  });
  const chosen = choose(named('set/a.png')) as unknown as Chosen;

  function slowService() {
    const calls: { signal: AbortSignal | undefined; resolve: (batch: Batch) => void; reject: (e: unknown) => void; progress: (share: number) => void }[] = [];
    const submit: Submit = (_, __, { signal, onProgress }) =>
      new Promise((resolve, reject) => {
        signal?.addEventListener('abort', () => reject(new DOMException('cancelled', 'AbortError')));
        calls.push({ signal, resolve, reject, progress: (share) => onProgress?.(share) });
      });
    return { submit, calls };
  }
  const settled = () => new Promise((resolve) => setTimeout(resolve));
  const batch = (id: string) => ({ id, task: 'detection' }) as Batch;

  it('are found again after a reload, without their pictures', async () => {
    const { submit, calls } = slowService();
    const store = new ManyStore(submit);
    void store.send(chosen, 'detection');
    calls[0]?.progress(0.5);
    expect(store.get().sending).toMatchObject({ status: 'sending', progress: 0.5 });
    calls[0]?.progress(1);
    expect(store.get().sending?.status).toBe('checking');
    calls[0]?.resolve(batch('one'));
    await settled();
    expect(store.get()).toMatchObject({ sending: null, current: 'one', recent: [{ id: 'one', name: 'set', task: 'detection' }] });
    expect(store.source('one')).not.toBeNull();
    const again = new ManyStore(submit);
    expect(again.get()).toMatchObject({ current: 'one', recent: [{ id: 'one' }] });
    expect(again.source('one')).toBeNull();
    again.forget('one');
    expect(new ManyStore(submit).get()).toMatchObject({ current: null, recent: [] });
  });

  it('are not sent when cancelled, and say why they were refused', async () => {
    const { submit, calls } = slowService();
    const store = new ManyStore(submit);
    void store.send(chosen, 'detection');
    store.cancelSending();
    await settled();
    expect(store.get().sending?.status).toBe('cancelled');
    void store.send(chosen, 'detection');
    calls[1]?.reject(new ApiProblem('no_space', 507, 'full'));
    await settled();
    expect(store.get().sending).toMatchObject({ status: 'failed', problem: { code: 'no_space' } });
    store.dismiss();
    expect(store.get()).toMatchObject({ sending: null, recent: [] });
  });

  it('do not take one away from an earlier one', async () => {
    const { submit, calls } = slowService();
    keepRecent([{ id: 'old', name: 'x', task: 'detection' }]);
    const store = new ManyStore(submit);
    void store.send(chosen, 'detection');
    store.show('old');
    calls[0]?.resolve(batch('new'));
    await settled();
    expect(store.get()).toMatchObject({ sending: null, current: 'old', recent: [{ id: 'new' }, { id: 'old' }] });
  });

  it('survive whatever else stands in their place', () => {
    localStorage.setItem('visionloop.many.batches', '{"a":');
    expect(readRecent()).toEqual([]);
    localStorage.setItem('visionloop.many.batches', '[1, {"id": "a"}, {"id": "a", "name": "b", "task": "c"}]');
    expect(readRecent()).toEqual([{ id: 'a', name: 'b', task: 'c' }]);
  });
});
