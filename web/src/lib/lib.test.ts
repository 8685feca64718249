import { describe, expect, it } from 'vitest';

import { isHidden } from '../components/stage/drawBoxes';
import { boxAt, countByClass, meanThreshold, operatingPoint, shown, thresholdRange, type BoxXyxy } from './boxes';
import { classStyle, contrast } from './colors';
import { stem, toCsv } from './download';
import { preferredLanguage } from './messages';
import { fit, isFitting, pan, toImage, toScreen, zoomAt } from './viewport';

const IMAGE = { width: 200, height: 100 };
const SCREEN = { width: 432, height: 432 };

describe('viewport', () => {
  it('fits the longer side and centres the other', () => {
    expect(fit(IMAGE, SCREEN)).toEqual({ scale: 2, x: 16, y: 116 });
  });

  it('enlarges small pictures, but not without end', () => {
    expect(fit({ width: 2, height: 2 }, SCREEN).scale).toBe(24);
    expect(fit({ width: 128, height: 64 }, { width: 3000, height: 2000 }).scale).toBe(6.25);
    expect(fit({ width: 1600, height: 800 }, { width: 3232, height: 2000 }).scale).toBe(1);
  });

  it('keeps what lies under the pointer in its place while zooming', () => {
    const view = fit(IMAGE, SCREEN);
    const at = { x: 100, y: 200 };
    const before = toImage(view, at);
    const zoomed = zoomAt(view, 3, at, IMAGE, SCREEN);
    expect(zoomed.scale).toBe(6);
    const after = toScreen(zoomed, before);
    expect(after.x).toBeCloseTo(at.x);
    expect(after.y).toBeCloseTo(at.y);
  });

  it('never shows the picture smaller than whole', () => {
    const view = zoomAt(zoomAt(fit(IMAGE, SCREEN), 4, { x: 0, y: 0 }, IMAGE, SCREEN), 0.01, { x: 9, y: 9 }, IMAGE, SCREEN);
    expect(view).toEqual(fit(IMAGE, SCREEN));
    expect(isFitting(view, IMAGE, SCREEN)).toBe(true);
  });

  it('keeps a part of the picture in sight however far it is moved', () => {
    const view = pan(zoomAt(fit(IMAGE, SCREEN), 4, { x: 0, y: 0 }, IMAGE, SCREEN), 1e6, -1e6, IMAGE, SCREEN);
    expect(view.x).toBeLessThan(SCREEN.width);
    expect(view.y + IMAGE.height * view.scale).toBeGreaterThan(0);
  });
});

describe('boxes', () => {
  const boxes: { box: BoxXyxy }[] = [{ box: [0, 0, 100, 100] }, { box: [10, 10, 30, 30] }];

  it('finds the smallest box around a point', () => {
    expect(boxAt(boxes, { x: 20, y: 20 })).toBe(1);
    expect(boxAt(boxes, { x: 50, y: 50 })).toBe(0);
    expect(boxAt(boxes, { x: 104, y: 50 })).toBeNull();
    expect(boxAt(boxes, { x: 104, y: 50 }, 5)).toBe(0);
  });

  const found = [
    { class: 'cat', class_id: 0, score: 0.9 },
    { class: 'dog', class_id: 1, score: 0.6 },
    { class: 'cat', class_id: 0, score: 0.3 },
  ];

  it('has a threshold for each class at the operating point', () => {
    const point = operatingPoint({ thresholds: [0.95, 0.5] });
    expect(shown(found, point, new Set()).map(({ class: name }) => name)).toEqual(['dog']);
    expect(meanThreshold(point, 2)).toBe(0.73);
    expect(thresholdRange(point, 2)).toEqual([0.5, 0.95]);
    expect(thresholdRange(operatingPoint({}), 0)).toEqual([0.5, 0.5]);
    expect(operatingPoint({})(7)).toBe(0.5);
    expect(operatingPoint(undefined)(0)).toBe(0.5);
  });

  it('shows what reaches the threshold exactly, and hides hidden classes', () => {
    expect(shown(found, () => 0.3, new Set())).toHaveLength(3);
    expect(shown(found, () => 0, new Set(['cat']))).toHaveLength(1);
  });

  it('counts classes, most first', () => {
    expect(countByClass(found)).toEqual([
      { name: 'cat', classId: 0, count: 2 },
      { name: 'dog', classId: 1, count: 1 },
    ]);
  });
});

it('labels that could not be read give way', () => {
  const area = { x: 0, y: 0, width: 50, height: 20 };
  expect(isHidden(area, { ...area, x: 10 })).toBe(true);
  expect(isHidden(area, { ...area, x: 46 })).toBe(false);
  expect(isHidden(area, { ...area, y: 20 })).toBe(false);
});

describe('colours', () => {
  it('can be read: the labels of every class reach 4.5', () => {
    for (let id = 0; id < 40; id += 1) {
      const { color, text } = classStyle(id);
      expect(contrast(color, text)).toBeGreaterThanOrEqual(4.5);
    }
  });

  it('make no two of forty classes look the same', () => {
    const looks = Array.from({ length: 40 }, (_, id) => JSON.stringify(classStyle(id)));
    expect(new Set(looks).size).toBe(40);
  });

  it('knows the contrast of black and white', () => {
    expect(contrast('#000000', '#ffffff')).toBeCloseTo(21);
  });
});

describe('csv', () => {
  it('quotes what has commas, quotes or line ends', () => {
    expect(toCsv(['a', 'b'], [['x,y', 'say "no"'], ['two\nlines', null]])).toBe(
      'a,b\r\n"x,y","say ""no"""\r\n"two\nlines",\r\n',
    );
  });

  it('gives a spreadsheet no formula', () => {
    expect(toCsv(['a'], [['=1+1'], ['@x'], ['-2'], [-2]])).toBe("a\r\n'=1+1\r\n'@x\r\n'-2\r\n-2\r\n");
  });

  it('takes the suffix off names', () => {
    expect([stem('a.b.png'), stem('a'), stem('.png')]).toEqual(['a.b', 'a', '.png']);
  });
});

describe('language', () => {
  it('is the kept one, else the first of the browser that there is, else English', () => {
    expect(preferredLanguage('de', ['en'])).toBe('de');
    expect(preferredLanguage(null, ['fr-FR', 'de-CH', 'en'])).toBe('de');
    expect(preferredLanguage('xx', ['fr'])).toBe('en');
  });
});
