import type { APIRequestContext, Page } from '@playwright/test';

import { expect, picture, png, test, violationsDayAndNight } from './fixtures';

interface Stored {
  id: string;
  width: number;
  top_class: string | null;
  feedback: { verdict: string; label: string | { class: string; box_xyxy: number[] }[] | null }[];
}

const SIZE = { width: 200, height: 100 };
let seed = 500;

/** Ask about pictures nobody has seen, and wait until they are among the stored ones. */
async function ask(request: APIRequestContext, verb: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let number = 0; number < count; number += 1) {
    const answer = await request.post(`/v1/${verb}`, { multipart: { image: png(SIZE.width, SIZE.height, (seed += 1)) } });
    ids.push(((await answer.json()) as { predictions: { id: string }[] }).predictions[0]?.id ?? '');
  }
  const task = verb === 'detect' ? 'detection' : 'classification';
  await expect
    .poll(async () => {
      const page = await request.get('/v1/predictions', { params: { task, feedback: 'none', limit: '200' } });
      const found = ((await page.json()) as { predictions: { id: string; has_image: boolean }[] }).predictions;
      return ids.every((id) => found.some((item) => item.id === id && item.has_image));
    })
    .toBe(true);
  return ids;
}

const stored = async (request: APIRequestContext, id: string) =>
  (await (await request.get(`/v1/predictions/${id}`)).json()) as Stored;

async function open(page: Page, task: string) {
  await page.goto('/label');
  await page.getByRole('radio', { name: task }).click();
  await page.getByRole('radio', { name: 'Latest' }).click();
  await expect(page.getByText(/^1 of \d+$/)).toBeVisible();
}

const said = (page: Page) => page.getByTestId('said');
const boxes = (page: Page) => page.getByRole('list', { name: 'Boxes' }).getByRole('listitem');

/** Where a point of the image lies on the screen, as the stage fits it. */
async function onScreen(page: Page) {
  const stage = await page.getByRole('application').boundingBox();
  if (!stage) throw new Error('no stage');
  const scale = Math.min((stage.width - 32) / SIZE.width, (stage.height - 32) / SIZE.height, 24);
  const left = stage.x + (stage.width - SIZE.width * scale) / 2;
  const top = stage.y + (stage.height - SIZE.height * scale) / 2;
  return (x: number, y: number) => ({ x: left + x * scale, y: top + y * scale });
}

test('classes are chosen with number keys, and taken back', async ({ page, request }) => {
  const [older = '', newer = ''] = await ask(request, 'classify', 2);
  const answered = (await stored(request, newer)).top_class ?? '';
  const other = ['blue', 'green', 'red'].find((name) => name !== answered) ?? '';
  await open(page, 'Classification');
  await expect(page.getByText(new RegExp(`The model says ${answered}, \\d+% sure`))).toBeVisible();
  await expect(page.getByRole('application', { name: `answered with ${answered}` })).toBeVisible();
  const choice = page.getByRole('group', { name: 'Classes' }).getByRole('button', { name: other });
  await page.keyboard.press((await choice.getAttribute('aria-keyshortcuts')) ?? '');
  await expect(said(page)).toHaveText(`Saved: ${other}.`);
  await expect(page.getByText(/^2 of/)).toBeVisible();
  expect((await stored(request, newer)).feedback).toMatchObject([{ verdict: 'corrected', label: other }]);

  await page.keyboard.press('u');
  await expect(said(page)).toContainText('Taken back');
  await expect(page.getByText(/^1 of/)).toBeVisible();
  expect((await stored(request, newer)).feedback).toEqual([]);

  await page.keyboard.press('Enter');
  await expect(said(page)).toHaveText('Saved: it was right.');
  expect((await stored(request, newer)).feedback).toMatchObject([{ verdict: 'right', label: null }]);
  await page.getByRole('button', { name: 'None of these' }).click();
  await expect(said(page)).toHaveText('Saved: it was wrong.');
  expect((await stored(request, older)).feedback).toMatchObject([{ verdict: 'wrong' }]);

  // With the keys off nothing happens by accident.
  await page.getByRole('button', { name: 'Number keys' }).click();
  await page.keyboard.press('u');
  await expect(said(page)).toHaveText('Saved: it was wrong.');

  // What was said is seen, kept by going on, and can be taken back.
  await page.getByRole('button', { name: 'Number keys' }).click();
  await page.getByRole('radio', { name: 'Judged' }).click();
  const before = page.getByTestId('before');
  await expect(before).toContainText('Said before: the model was right.');
  await page.keyboard.press('Enter');
  await expect(before).toContainText('Said before: none of these.');
  expect((await stored(request, newer)).feedback).toHaveLength(1);
  await before.getByRole('button', { name: 'Take back' }).click();
  await expect(before).toHaveCount(0);
  expect((await stored(request, older)).feedback).toEqual([]);
  await page.keyboard.press((await choice.getAttribute('aria-keyshortcuts')) ?? '');
  await expect(said(page)).toHaveText(`Saved: ${other}.`);
  expect((await stored(request, older)).feedback).toMatchObject([{ verdict: 'corrected', label: other }]);
});

test('Enter judges the picture, and never what another link or button is pressed for', async ({ page, request }) => {
  const [, older = '', newer = ''] = await ask(request, 'classify', 3);
  await open(page, 'Classification');
  await page.reload();
  await page.getByRole('radio', { name: 'Latest' }).click();
  await page.reload(); // nothing has been done on the page since
  await expect(page.getByText(/^1 of \d+$/)).toBeVisible();
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to the content' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/#main$/);
  await expect(said(page)).toHaveText('');

  await page.getByRole('link', { name: 'Try it' }).click();
  await page.getByRole('link', { name: 'Correct' }).click();
  const stage = page.getByRole('application');
  await expect(stage).toBeFocused();
  await page.getByRole('radio', { name: 'Latest' }).click();
  await expect(stage).toBeFocused();
  await page.keyboard.press('s');
  await expect(page.getByText(/^2 of/)).toBeVisible();
  await page.getByRole('button', { name: 'Zoom in' }).click();
  await page.keyboard.press('Enter');
  await expect(said(page)).toHaveText('Saved: it was right.');
  expect((await stored(request, older)).feedback).toMatchObject([{ verdict: 'right' }]);
  expect((await stored(request, newer)).feedback).toEqual([]);

  // Undo goes step by step, over what was skipped as well.
  await expect(page.getByText(/^3 of/)).toBeVisible();
  await page.keyboard.press('s');
  await expect(page.getByText(/^4 of|^All looked at/)).toBeVisible();
  await page.keyboard.press('u');
  await expect(said(page)).toHaveText('Back at the picture you skipped.');
  await expect(page.getByText(/^3 of/)).toBeVisible();
  await page.keyboard.press('u');
  await expect(said(page)).toContainText('Taken back');
  await expect(page.getByText(/^2 of/)).toBeVisible();
  await page.keyboard.press('u');
  await expect(page.getByText(/^1 of/)).toBeVisible();
  expect((await stored(request, older)).feedback).toEqual([]);
});

test('who comes back before the other panel has loaded goes on with the picture', async ({ page, request }) => {
  await ask(request, 'classify', 1);
  await page.route(/\/assets\/TryPanel-/, () => undefined); // never answered
  await open(page, 'Classification');
  await page.getByRole('link', { name: 'Try it' }).click();
  await expect(page).toHaveURL(/\/$/);
  await page.getByRole('link', { name: 'Correct' }).click();
  await expect(page.getByRole('application')).toBeFocused();
});

test('boxes are drawn, moved, resized and removed with mouse and keys', async ({ page, request }) => {
  const [id = ''] = await ask(request, 'detect', 1);
  await open(page, 'Detection');
  const at = await onScreen(page);
  const drag = async (from: [number, number], to: [number, number]) => {
    const [start, end] = [at(...from), at(...to)];
    await page.mouse.move(start.x, start.y);
    await page.mouse.down();
    await page.mouse.move(end.x, end.y, { steps: 3 });
    await page.mouse.up();
  };
  const before = await boxes(page).count();
  await drag([20, 20], [80, 60]);
  await expect(boxes(page)).toHaveCount(before + 1);
  const made = boxes(page).last();
  await expect(made).toContainText('at 20, 20: 60 × 40 px');
  await page.keyboard.press('3');
  await expect(made).toContainText('red');
  await drag([50, 40], [60, 45]);
  await expect(made).toContainText('at 30, 25: 60 × 40 px');
  await drag([90, 65], [100, 75]);
  await expect(made).toContainText('at 30, 25: 70 × 50 px');
  const stage = page.getByRole('application');
  const over = async (x: number, y: number) => {
    await page.mouse.move(at(x, y).x, at(x, y).y);
    return stage.evaluate((element) => element.style.cursor);
  };
  expect([await over(100, 75), await over(60, 50), await over(190, 5)]).toEqual(['nwse-resize', 'move', '']);
  await page.keyboard.press('ArrowLeft');
  await expect(made).toContainText('at 28, 25: 70 × 50 px');
  await page.keyboard.press('Shift+ArrowDown');
  await expect(made).toContainText('at 28, 25: 70 × 52 px');
  await page.keyboard.press('Control+z');
  await expect(made).toContainText('at 28, 25: 70 × 50 px');
  await page.getByRole('button', { name: 'Add a box' }).click();
  await expect(boxes(page)).toHaveCount(before + 2);
  await expect(stage).toBeFocused();
  const place = await boxes(page).last().textContent();
  await page.keyboard.press('ArrowRight');
  await expect(boxes(page).last()).not.toHaveText(place ?? '');
  await page.keyboard.press('Delete');
  await expect(boxes(page)).toHaveCount(before + 1);
  await drag([150, 20], [170, 22]); // too thin to be meant
  await expect(boxes(page)).toHaveCount(before + 1);
  await picture(page, 'label-boxes');
  await made.getByRole('button', { name: /^red/ }).click();
  await page.keyboard.press('Enter');
  await expect(said(page)).toHaveText(/^Saved: \d+ box/);
  const [feedback] = (await stored(request, id)).feedback;
  const label = feedback?.label as { class: string; box_xyxy: number[] }[];
  expect(label).toHaveLength(before + 1);
  expect(label.at(-1)?.class).toBe('red');
  for (const [place, value] of [28, 25, 98, 75].entries()) {
    expect(Math.abs((label.at(-1)?.box_xyxy[place] ?? 0) - value)).toBeLessThan(1);
  }
});

test.describe('with fingers', () => {
  test.use({ hasTouch: true, viewport: { width: 390, height: 844 } });

  test('the picture scrolls with the page, and boxes are drawn where that is chosen', async ({ page, context, request }) => {
    await ask(request, 'detect', 1);
    await open(page, 'Detection');
    const before = await boxes(page).count();
    // What is to be pressed is in sight, wherever the page is scrolled to.
    await expect(page.getByRole('button', { name: 'Right' })).toBeInViewport({ ratio: 1 });
    let at = await onScreen(page);
    const session = await context.newCDPSession(page);
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...points: { x: number; y: number }[]) =>
      session.send('Input.dispatchTouchEvent', { type, touchPoints: points });
    await touch('touchStart', at(40, 80));
    for (const y of [70, 50, 30, 10, -10, -30]) await touch('touchMove', at(42, y));
    await touch('touchEnd');
    await expect.poll(() => page.evaluate(() => scrollY)).toBeGreaterThan(0);
    await expect(boxes(page)).toHaveCount(before);
    await page.evaluate(() => scrollTo(0, 0));
    await page.getByRole('button', { name: 'Draw' }).tap();
    at = await onScreen(page);
    await touch('touchStart', at(40, 20));
    await touch('touchMove', at(80, 50));
    await touch('touchMove', at(120, 80));
    await touch('touchEnd');
    await expect(boxes(page)).toHaveCount(before + 1);
    await expect(boxes(page).last()).toContainText('at 40, 20: 80 × 60 px');
  });
});

test('axe finds nothing in "Correct", and nothing is cut off', async ({ page, request }) => {
  await ask(request, 'detect', 1);
  for (const width of [1440, 320]) {
    await page.setViewportSize({ width, height: width === 320 ? 640 : 900 });
    // What boxes have, classes have too.
    await open(page, 'Detection');
    await page.getByRole('button', { name: 'Add a box' }).click();
    if (width > 1000) {
      for (const name of ['Save these boxes', 'Wrong']) {
        await expect(page.getByRole('button', { name })).toBeInViewport({ ratio: 1 });
      }
    }
    expect(await violationsDayAndNight(page, `label-${width}`)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  }
});
