import { describe, expect, it } from 'vitest';

import type { FramePrediction } from '../../api/stream';
import { AS_THE_MODEL } from '../../lib/boxes';
import { cameraFault } from '../../lib/camera';
import { Rate, Rolling } from '../../lib/rolling';
import { drawnMoments, drawnOf, modelOf } from './boxView';
import { restOf } from './Figures';
import { inPixelsOf, sentSize } from './frames';
import { barsOf, csvOf, frameTimes, framesByClass, jsonOf, momentAt, withMoment, type Moment } from './timeline';
import { clock } from './Timeline';
import { walk } from './walk';

type Box = NonNullable<FramePrediction['detections']>[number];
const box = (name: string, id: number, at = 0): Box => ({ class: name, class_id: id, score: 0.5, box_xyxy: [at, 0, 8, 4] });

function moment(time: number, detections: Box[]): Moment {
  const model = { task: 'detection', name: 'm', version: '3', role: 'champion' } as Moment['model'];
  return { time, model, problem: null, prediction: { image: { width: 8, height: 4 }, ranked: null, detections } };
}

describe('figures', () => {
  it('are medians of the latest values', () => {
    const rolling = new Rolling(3);
    expect(rolling.median).toBeNull();
    for (const value of [1000, 10, 20]) rolling.push(value);
    expect(rolling.median).toBe(20);
    rolling.push(30);
    rolling.push(40);
    expect(rolling.median).toBe(30);
    rolling.clear();
    expect(rolling.median).toBeNull();
    rolling.push(1);
    rolling.push(2);
    expect(rolling.median).toBe(1.5);
  });

  it('count no pause as a slow frame', () => {
    const rate = new Rate();
    rate.tick(0);
    expect(rate.perSecond).toBeNull();
    rate.tick(100);
    rate.pause();
    rate.tick(90_000);
    rate.tick(90_100);
    expect(rate.perSecond).toBe(10);
  });
});

describe('what is drawn', () => {
  const model = (name: string, version: string, role: string, threshold: number) =>
    ({ task: 'detection', name, version, role, classes: ['a', 'b'], operating_point: { thresholds: [threshold, 0.5] } }) as unknown as Parameters<typeof modelOf>[0][number];
  const models = [model('m', '3', 'champion', 0.6), model('m', '4', 'canary', 0.4)];
  const found = [box('a', 0), box('b', 1)];

  it('reaches the operating point of the model that answered', () => {
    const names = (version: string) => {
      const answered = { task: 'detection', name: 'm', version, role: 'champion' } as Moment['model'];
      return drawnOf(moment(0, found).prediction, modelOf(models, 'detection', answered), AS_THE_MODEL)?.detections?.map(
        ({ class: name }) => name,
      );
    };
    expect(names('3')).toEqual(['b']);
    expect(names('4')).toEqual(['a', 'b']);
    expect(names('9')).toEqual(['b']); // unknown: as the champion
  });

  it('follows the visitor’s own threshold and classes, in every moment', () => {
    const view = { threshold: 0.3, hidden: new Set(['b']) };
    const drawn = drawnMoments([moment(0, found), { ...moment(1, []), prediction: null }], models, 'detection', view);
    expect(drawn.map(({ prediction }) => prediction?.detections?.map((item) => item.class))).toEqual([['a'], undefined]);
    expect(drawnMoments([moment(0, found)], models, 'detection', { ...view, threshold: 0.6 })[0]?.prediction?.detections).toEqual([]);
  });
});

describe('frames', () => {
  it('are made smaller, never larger, and keep their shape', () => {
    expect(sentSize({ width: 1920, height: 1080 }, 640)).toEqual({ width: 640, height: 360 });
    expect(sentSize({ width: 100, height: 300 }, 640)).toEqual({ width: 100, height: 300 });
    expect(sentSize({ width: 4000, height: 1 }, 320)).toEqual({ width: 320, height: 1 });
  });

  it('have boxes in pixels of the video', () => {
    const found = inPixelsOf(moment(0, [box('a', 0, 2)]).prediction ?? never(), { width: 80, height: 20 });
    expect(found.detections?.[0]?.box_xyxy).toEqual([20, 0, 80, 20]);
    expect(found.image).toEqual({ width: 80, height: 20 });
  });
});

describe('timeline', () => {
  it('looks at frames from the first on, and at one at least', () => {
    expect(frameTimes(1, 4)).toEqual([0, 0.25, 0.5, 0.75]);
    expect(frameTimes(1.1, 2)).toEqual([0, 0.5, 1]);
    expect(frameTimes(0.01, 1)).toEqual([0]);
  });

  it('keeps moments in order, one for each time', () => {
    let moments: Moment[] = [];
    for (const time of [1, 0, 2, 1]) moments = withMoment(moments, moment(time, time === 1 ? [box('a', 0)] : []));
    expect(moments.map(({ time }) => time)).toEqual([0, 1, 2]);
  });

  it('finds what was seen last, unless that is long ago', () => {
    const moments = [moment(0, []), moment(1, []), moment(4, [])];
    expect(momentAt(moments, 1.4, 0.5)?.time).toBe(1);
    expect(momentAt(moments, 0.9995, 0.5)?.time).toBe(1);
    expect(momentAt(moments, 3, 0.5)).toBeNull();
    expect(momentAt([], 3, 0.5)).toBeNull();
  });

  it('has the highest count of each class in a part of the video', () => {
    const moments = [
      moment(0, [box('a', 0), box('a', 0), box('b', 1)]),
      moment(0.4, [box('a', 0)]),
      moment(1, [box('b', 1)]),
    ];
    const bars = barsOf(moments, 2, 2);
    expect(bars.map(({ parts }) => parts.map(({ name, count }) => `${name}${count}`))).toEqual([['a2', 'b1'], ['b1']]);
    expect([bars[1]?.start, bars[1]?.end]).toEqual([1, 2]);
    expect(framesByClass(moments).map(({ name, count }) => `${name}${count}`)).toEqual(['a2', 'b2']);
  });

  it('puts a frame at the very end into the last part', () => {
    expect(barsOf([moment(2, [box('a', 0)])], 2, 2)[1]?.parts).toHaveLength(1);
  });

  it('shows the most probable class where there are no boxes', () => {
    const ranked = [
      { class: 'x', class_id: 4, score: 0.9 },
      { class: 'y', class_id: 5, score: 0.1 },
    ];
    const prediction = { image: { width: 1, height: 1 }, ranked, detections: null };
    expect(framesByClass([{ ...moment(0, []), prediction }])).toEqual([{ name: 'x', classId: 4, count: 1 }]);
  });

  it('is saved as CSV, with a row for what has nothing in it', () => {
    const refused: Moment = { time: 2, prediction: null, model: null, problem: 'overloaded' };
    const lines = csvOf('=v.webm', 'detection', [moment(0.2, [box('a', 0)]), moment(1, []), refused]).split('\r\n');
    expect(lines.slice(1)).toEqual([
      "'=v.webm,0.2,detection,m,3,a,0.5,0,0,8,4,",
      "'=v.webm,1,detection,m,3,,,,,,,",
      "'=v.webm,2,detection,,,,,,,,,overloaded",
      '',
    ]);
    const saved = JSON.parse(jsonOf('v', 'detection', [moment(0.2, [box('a', 0)])])) as { frames: { time_s: number }[] };
    expect(saved.frames[0]?.time_s).toBe(0.2);
  });

  it('tells the time', () => {
    expect([0, 65.23, 59.99].map((seconds) => clock(seconds, 'en'))).toEqual(['0:00.0', '1:05.2', '1:00.0']);
    expect(clock(65.23, 'de')).toBe('1:05,2');
  });
});

describe('a walk through a video', () => {
  /** Answers each frame when told to. */
  class Frames {
    isFree = true;
    pending = 0;
    readonly sent: number[] = [];
    private wake: () => void = never;
    send = (_: Blob, time: number) => {
      this.sent.push(time);
      this.pending += 1;
    };
    changed = () => new Promise<void>((resolve) => (this.wake = resolve));
    answer(by = 1) {
      this.pending -= by;
      this.wake();
    }
  }
  const settled = () => new Promise((resolve) => setTimeout(resolve));

  it('goes on when a frame is answered, and ends after the last', async () => {
    const [stream, seen, signal] = [new Frames(), [] as number[], new AbortController().signal];
    const seek = (time: number) => Promise.resolve(void seen.push(time));
    const done = walk([0, 1], { stream, signal, seek, encode: () => Promise.resolve(new Blob()) });
    await settled();
    expect([seen, stream.sent]).toEqual([[0], [0]]);
    stream.answer();
    await settled();
    expect([seen, stream.sent]).toEqual([[0, 1], [0, 1]]);
    stream.answer();
    expect(await done).toBe(true);
  });

  it('stops in the middle', async () => {
    const [stream, stopper] = [new Frames(), new AbortController()];
    const walked = { stream, signal: stopper.signal, seek: () => Promise.resolve(), encode: () => Promise.resolve(new Blob()) };
    const done = walk([0, 1], walked);
    await settled();
    stopper.abort();
    stream.answer(0);
    expect(await done).toBe(false);
    expect(stream.sent).toEqual([0]);
  });
});

describe('a camera that is not there', () => {
  it('is told by its reason', () => {
    const fault = (name: string) => cameraFault(new DOMException('', name));
    expect(['SecurityError', 'NotAllowedError', 'NotReadableError', 'NotFoundError'].map(fault)).toEqual([
      'camera_insecure',
      'camera_denied',
      'camera_busy',
      'camera_none',
    ]);
  });
});

function never(): never {
  throw new Error('this does not happen');
}

it('what of the latency is neither queue nor model is told, and never less than nothing', () => {
  expect(restOf({ latencyMs: 89.9, modelMs: 6.9 })).toBeCloseTo(83);
  expect(restOf({ latencyMs: 5, modelMs: 6 })).toBe(0);
  expect([restOf({ latencyMs: null, modelMs: 6 }), restOf({ latencyMs: 5, modelMs: null })]).toEqual([null, null]);
});
