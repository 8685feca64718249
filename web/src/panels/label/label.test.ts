import { describe, expect, it } from 'vitest';

import type { BoxXyxy } from '../../lib/boxes';
import { added, dragged, handleAt, isDrawn, leastDrawn, removed, spanned, startEdit, undone, withBox } from './boxEdit';
import { firstBoxes, saidClass, type Prediction } from './items';
import { isInPanel, isPressable, numberKeys } from './keys';

const SIZE = { width: 100, height: 80 };
const BOX: BoxXyxy = [20, 20, 60, 50];

describe('handles', () => {
  it.each([
    [20, 20, 'nw'],
    [61, 35, 'e'],
    [40, 48, 's'],
    [40, 35, 'inside'],
    [40, 60, null],
  ])('at %d, %d is %s', (x, y, handle) => expect(handleAt(BOX, { x, y }, 3)).toBe(handle));

  it('of a box smaller than they are leave its middle to move it, and reach less far', () => {
    expect(handleAt([20, 20, 24, 24], { x: 23.5, y: 20.5 }, 8)).toBe('ne');
    expect(handleAt([20, 20, 24, 24], { x: 22, y: 22 }, 8)).toBe('inside');
    expect(handleAt([20, 20, 32, 32], { x: 49, y: 26 }, 18)).toBeNull();
    expect(handleAt([20, 20, 32, 32], { x: 37, y: 26 }, 18)).toBe('e');
  });
});

describe('dragging', () => {
  it.each([
    ['inside', 5, 6, [25, 26, 65, 56]],
    ['inside', 500, -500, [60, 0, 100, 30]], // moved as far as the image goes, as large as it was
    ['se', 10, 10, [20, 20, 70, 60]],
    ['w', -50, 30, [0, 20, 60, 50]],
    ['e', -60, 0, [0, 20, 20, 50]], // turned over
    ['n', 0, 29.5, [20, 49.5, 60, 51.5]], // never thinner than two pixels
  ] as [Parameters<typeof dragged>[1], number, number, BoxXyxy][])('%s by %d, %d', (handle, dx, dy, found) => {
    expect(dragged(BOX, handle, dx, dy, SIZE)).toEqual(found);
  });

  it('does not make a box thinner than what one means, unless it is already', () => {
    expect(dragged(BOX, 'e', -39, 0, SIZE, 8)).toEqual([20, 20, 28, 50]);
    expect(dragged([20, 20, 25, 50], 'e', 0, 5, SIZE, 8)).toEqual([20, 20, 25, 50]);
  });

  it('takes what is smaller than 4 pixels of the image or 8 of the screen for a slip', () => {
    const from = { x: 10, y: 10 };
    expect(isDrawn(from, { x: 13.9, y: 40 }, SIZE, 10)).toBe(false);
    expect(isDrawn(from, { x: 14, y: 14 }, SIZE, 10)).toBe(true);
    expect(isDrawn(from, { x: 40, y: 24 }, SIZE, 0.5)).toBe(false);
    expect(isDrawn(from, { x: 26, y: 26 }, SIZE, 0.5)).toBe(true);
    expect(leastDrawn({ width: 32, height: 32 }, 20)).toBe(2);
  });

  it('draws between any two corners, inside the image', () => {
    expect(spanned({ x: 120, y: 70 }, { x: 90, y: -5 }, SIZE)).toEqual([90, 0, 100, 70]);
    expect(spanned({ x: 100, y: 80 }, { x: 100, y: 80 }, SIZE)).toEqual([98, 78, 100, 80]);
  });
});

it('every change is undone, one after another', () => {
  const start = startEdit([{ class: 'a', box: BOX }]);
  const more = added(start, { class: 'b', box: [0, 0, 5, 5] });
  const other = withBox(more, 0, { class: 'c' });
  const fewer = removed(other, 0);
  expect(fewer.boxes.map((box) => box.class)).toEqual(['b']);
  expect(fewer.selected).toBe(0);
  expect(undone(fewer).boxes.map((box) => box.class)).toEqual(['c', 'b']);
  expect(undone(undone(undone(fewer))).boxes).toEqual(start.boxes);
  expect(undone(start)).toBe(start);
  expect(removed(start, 0).selected).toBeNull();
});

it('number keys are those of classes named by a digit, then the free ones', () => {
  expect(Object.fromEntries(numberKeys(['0', '7', '8']))).toEqual({ 0: '0', 7: '7', 8: '8' });
  expect(numberKeys(['cat', '1', 'dog']).get('2')).toBe('cat');
  expect(numberKeys(['cat', '1', 'dog']).get('3')).toBe('dog');
  expect(numberKeys(Array.from({ length: 30 }, (_, at) => `class ${at}`)).size).toBe(10);
});

it('boxes begin as they were said last, else above the operating point', () => {
  const found = (score: number) => ({ class: 'a', class_id: 0, score, box_xyxy: BOX });
  const prediction = { feedback: [], result: { detections: [found(0.9), found(0.2)] } } as unknown as Prediction;
  expect(firstBoxes(prediction, { thresholds: [0.5] })).toEqual([{ class: 'a', box: BOX }]);
  expect(firstBoxes(prediction, { thresholds: [0.1] })).toHaveLength(2);
  const said = { verdict: 'corrected', label: [{ class: 'b', box_xyxy: [1, 2, 3, 4] }] };
  expect(firstBoxes({ ...prediction, feedback: [said] } as unknown as Prediction, {})).toEqual([
    { class: 'b', box: [1, 2, 3, 4] },
  ]);
  const later = { verdict: 'right', label: null };
  expect(firstBoxes({ ...prediction, feedback: [said, later] } as unknown as Prediction, {})).toHaveLength(1);
});

it('the class that was said last is known, or that none fits', () => {
  const said = (...feedback: object[]) => saidClass({ top_class: '7', feedback } as unknown as Prediction);
  const corrected = { verdict: 'corrected', label: '3' };
  expect(said()).toBeNull();
  expect(said({ verdict: 'right', label: null })).toBe('7');
  expect(said({ verdict: 'right', label: null }, corrected)).toBe('3');
  expect(said(corrected, { verdict: 'wrong', label: null })).toBeNull();
});

it('keys judge in the panel or where nothing has the focus; Enter belongs to what it presses', () => {
  document.body.innerHTML =
    '<a id="skip"></a><nav><a id="link"></a></nav><main><div id="picture"></div><button id="button"></button>' +
    '<button role="radio" id="radio"></button></main>';
  const at = (id: string) => document.getElementById(id);
  expect(['skip', 'link', 'picture', 'button'].map((id) => isInPanel(at(id)))).toEqual([false, false, true, true]);
  expect(isInPanel(document.body)).toBe(true);
  expect(['picture', 'button', 'radio', 'skip'].map((id) => isPressable(at(id)))).toEqual([false, true, true, true]);
});
