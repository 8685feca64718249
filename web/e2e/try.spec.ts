import { readFile } from 'node:fs/promises';

import type { Download, Page } from '@playwright/test';

import { expect, picture, png, test } from './fixtures';

const files = (page: Page) => page.getByTestId('files');
const count = (page: Page) => page.getByTestId('count').locator('strong');
const threshold = (page: Page) => page.getByRole('slider', { name: 'Least confidence' });

async function open(page: Page) {
  await page.goto('/');
  await expect(page.getByRole('heading', { name: 'Drop pictures here' })).toBeVisible();
}

/** The models say that they have learned digits: their samples are for such ones only. */
async function knowDigits(page: Page) {
  await page.route('**/v1/models', async (route) => {
    const response = await route.fetch();
    const { models } = (await response.json()) as { models: object[] };
    const classes = Array.from({ length: 10 }, (_, digit) => String(digit));
    await route.fulfill({ response, json: { models: models.map((model) => ({ ...model, classes })) } });
  });
}

async function answered(page: Page) {
  await expect(page.getByRole('heading', { name: 'Classification' })).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Detection' })).toBeVisible();
}

async function numberOf(page: Page): Promise<number> {
  return parseInt((await count(page).textContent()) ?? '', 10);
}

async function text(download: Download): Promise<string> {
  return readFile(await download.path(), 'utf8');
}

test('a file is shown with what both models say of it', async ({ page }) => {
  await open(page);
  await files(page).setInputFiles(png());
  await answered(page);
  await expect(page.getByText('tiny-classification, version 1')).toBeVisible();
  await expect(page.getByRole('list', { name: 'Classes by confidence' }).getByRole('listitem')).toHaveCount(3);
  await expect(page.getByText(/Calibrated: of 100 pictures/)).toBeVisible();
  await expect(page.getByRole('status').filter({ hasText: 'the answer is there' })).toHaveText(/stripes-0\.png/);
});

test('one task alone can be asked, and the choice is kept', async ({ page }) => {
  await open(page);
  const asked: string[] = [];
  page.on('request', (request) => {
    if (request.method() === 'POST') asked.push(new URL(request.url()).pathname);
  });
  await page.getByRole('radio', { name: 'Classification' }).click();
  await files(page).setInputFiles(png());
  await expect(page.getByRole('heading', { name: 'Classification' })).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Detection' })).toHaveCount(0);
  expect(asked).toEqual(['/v1/classify']);
  await page.getByRole('radio', { name: 'Both' }).click();
  await answered(page);
  expect(asked).toEqual(['/v1/classify', '/v1/predict']);
  await page.getByRole('radio', { name: 'Detection' }).click();
  await page.reload();
  await expect(page.getByRole('radio', { name: 'Detection' })).toHaveAttribute('aria-checked', 'true');
});

test('the slider starts at the operating point, works both ways, and goes back', async ({ page }) => {
  await open(page);
  await files(page).setInputFiles(png());
  await answered(page);
  const start = await threshold(page).inputValue();
  const atStart = await numberOf(page);
  await expect(page.getByText(/At the model's operating point/)).toBeVisible();
  await threshold(page).fill('0');
  await expect(page.getByText('Your own threshold')).toBeVisible();
  const all = await numberOf(page);
  expect(all).toBeGreaterThan(0);
  await threshold(page).fill('1');
  await expect(count(page)).toHaveText('0 objects');
  await expect(page.getByText(/Nothing reaches this confidence/)).toBeVisible();
  await page.getByRole('button', { name: 'Back to the operating point' }).click();
  await expect(threshold(page)).toHaveValue(start);
  expect(await numberOf(page)).toBe(atStart);
});

test('classes are filtered, with counts', async ({ page }) => {
  await open(page);
  await files(page).setInputFiles(png());
  await answered(page);
  await threshold(page).fill('0');
  const all = await numberOf(page);
  const chip = page.getByRole('group', { name: 'Classes shown' }).getByRole('button').first();
  const ofClass = parseInt(/\d+$/.exec((await chip.textContent()) ?? '')?.[0] ?? '', 10);
  expect(ofClass).toBeGreaterThan(0);
  await chip.click();
  await expect(chip).toHaveAttribute('aria-pressed', 'false');
  expect(await numberOf(page)).toBe(all - ofClass);
  await chip.click();
  expect(await numberOf(page)).toBe(all);
});

test('a box and its row in the list are linked both ways', async ({ page }) => {
  await page.route('**/v1/predict', async (route) => {
    const response = await route.fetch();
    const answer = (await response.json()) as { results: { detection: { predictions: { detections: object[] }[] } } };
    const prediction = answer.results.detection.predictions[0];
    if (!prediction) throw new Error('no prediction');
    prediction.detections = [
      { class: 'left', class_id: 0, score: 0.9, box_xyxy: [2, 10, 22, 40] },
      { class: 'right', class_id: 1, score: 0.8, box_xyxy: [40, 10, 60, 40] },
    ];
    await route.fulfill({ response, json: answer });
  });
  await open(page);
  await files(page).setInputFiles(png(64, 48));
  await answered(page);
  await threshold(page).fill('0.5');
  const [left, right] = [page.getByRole('button', { name: /^left\s?90%/ }), page.getByRole('button', { name: /^right\s?80%/ })];
  const stage = page.getByRole('application');
  const box = await stage.boundingBox();
  if (!box) throw new Error('no stage');
  // 64 x 48 pixels fit the stage's height or width, centred.
  const scale = Math.min((box.width - 32) / 64, (box.height - 32) / 48, 24);
  const at = (x: number, y: number) => ({ x: box.width / 2 + (x - 32) * scale, y: box.height / 2 + (y - 24) * scale });
  await stage.hover({ position: at(12, 25) });
  await expect(left).toHaveAttribute('data-highlighted', '');
  await expect(right).not.toHaveAttribute('data-highlighted');
  await stage.hover({ position: at(50, 25) });
  await expect(right).toHaveAttribute('data-highlighted', '');
  await stage.hover({ position: at(32, 25) });
  await expect(right).not.toHaveAttribute('data-highlighted');
  // The other way: the canvas changes when a row is pointed at.
  const pixels = () => stage.locator('canvas').nth(1).evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());
  const before = await pixels();
  await left.hover();
  await expect.poll(pixels).not.toBe(before);
  await page.mouse.move(0, 0);
  await expect.poll(pixels).toBe(before);
  await page.getByRole('button', { name: 'Labels' }).click();
  await expect.poll(pixels).not.toBe(before);
});

test('the picture is zoomed and moved by wheel, pointer and keys', async ({ page }) => {
  await open(page);
  await files(page).setInputFiles(png());
  await answered(page);
  const stage = page.getByRole('application');
  const pixels = () => stage.locator('canvas').first().evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());
  const whole = await pixels();
  const seen = new Set([whole]);
  const changed = async () => {
    await expect.poll(async () => seen.has(await pixels())).toBe(false);
    seen.add(await pixels());
  };
  await stage.hover();
  await page.mouse.wheel(0, -400);
  await changed();
  await page.mouse.down();
  await page.mouse.move(500, 300, { steps: 4 });
  await page.mouse.up();
  await changed();
  await page.getByRole('button', { name: 'Show the whole picture' }).click();
  await expect.poll(pixels).toBe(whole);
  await stage.focus();
  await page.keyboard.press('+');
  await changed();
  await page.keyboard.press('ArrowRight');
  await changed();
  await page.keyboard.press('0');
  await expect.poll(pixels).toBe(whole);
});

test('several files at once each get their answer; they can be looked at and removed', async ({ page }) => {
  await open(page);
  await files(page).setInputFiles([0, 1, 2, 3].map((seed) => png(64, 48, seed)));
  const list = page.getByRole('list', { name: 'Pictures' });
  await expect(list.getByRole('button', { name: /, done$/ })).toHaveCount(4);
  await list.getByRole('button', { name: /stripes-2.png, done/ }).click();
  await expect(page.getByRole('application', { name: /stripes-2/ })).toBeVisible();
  const tile = (number: number) => list.getByRole('button', { name: `stripes-${number}.png, done` });
  await expect(page.getByText('3 of 4')).toBeVisible();
  await page.getByRole('button', { name: 'Next picture' }).click();
  await expect(page.getByRole('application', { name: /stripes-3/ })).toBeVisible();
  await tile(3).press('Delete');
  await expect(tile(2)).toBeFocused();
  await list.getByRole('button', { name: 'Remove stripes-2.png' }).click();
  await expect(page.getByText('2 of 2')).toBeVisible();
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(page.getByText('3 of 3')).toBeVisible();
  await page.getByRole('button', { name: 'Remove all' }).click();
  await expect(page.getByRole('heading', { name: 'Drop pictures here' })).toBeVisible();
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(list.getByRole('button', { name: /, done$/ })).toHaveCount(3);
});

test('the picture stays in sight beside the results, on a small laptop', async ({ page }) => {
  await page.setViewportSize({ width: 1366, height: 768 });
  await open(page);
  await files(page).setInputFiles(png());
  await answered(page);
  await threshold(page).fill('0');
  await page.getByRole('list', { name: 'Objects found' }).getByRole('button').first().click();
  await page.evaluate(() => scrollTo(0, 10_000));
  await expect(page.getByRole('application')).toBeInViewport({ ratio: 1 });
  await expect(page.getByRole('group', { name: 'Save' })).toBeInViewport({ ratio: 1 });
});

for (const way of ['drop', 'paste'] as const) {
  test(`files come by ${way}`, async ({ page }) => {
    await open(page);
    const bytes = [...png().buffer];
    await page.evaluate(
      ([way, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], `${way}.png`, { type: 'image/png' }));
        if (way === 'paste') window.dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer }));
        else {
          window.dispatchEvent(new DragEvent('dragenter', { dataTransfer: transfer }));
          window.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, cancelable: true }));
        }
      },
      [way, bytes] as const,
    );
    await answered(page);
    await expect(page.getByRole('application', { name: new RegExp(`${way}.png`) })).toBeVisible();
  });
}

test('a photo is taken with the camera', async ({ page }) => {
  await open(page);
  await page.getByRole('button', { name: 'Take a photo' }).click();
  const take = page.getByRole('button', { name: 'Take the photo' });
  await expect(take).toBeEnabled();
  await picture(page, 'camera');
  await take.click();
  await answered(page);
  await expect(page.getByRole('application', { name: /photo\.jpg/ })).toBeVisible();
});

test('a sample is there for those who have no picture', async ({ page }) => {
  await knowDigits(page);
  await open(page);
  await page.getByRole('button', { name: 'A scene of digits 1' }).click();
  await answered(page);
  // The sample's button is gone; the focus is not.
  await expect(page.getByRole('button', { name: 'scene-1.jpg, done' })).toBeFocused();
});

test('nobody is offered a sample that no model has learned', async ({ page }) => {
  await open(page);
  await expect(page.getByRole('button', { name: 'Choose files' })).toBeVisible();
  await expect(page.getByRole('button', { name: /digit/ })).toHaveCount(0);
});

test('the answer is saved as picture, JSON and CSV', async ({ page }) => {
  await open(page);
  await files(page).setInputFiles({ ...png(), name: '=evil,"name".png' });
  await answered(page);
  await threshold(page).fill('0');
  const shown = await numberOf(page);
  const save = page.getByRole('group', { name: 'Save' });
  const press = async (name: string) => {
    const saved = page.waitForEvent('download');
    await save.getByRole('button', { name }).click();
    return saved;
  };
  const csv = (await text(await press('CSV'))).trim().split('\r\n');
  expect(csv[0]).toBe('image,task,model,version,class,score,x_min,y_min,x_max,y_max');
  expect(csv.filter((line) => line.includes(',detection,'))).toHaveLength(shown);
  expect(csv.filter((line) => line.includes(',classification,'))).toHaveLength(3);
  expect(csv[1]).toMatch(/^"'=evil,""name""\.png",/);
  const json = JSON.parse(await text(await press('JSON'))) as {
    results: { detection: { predictions: { detections: unknown[] }[] } };
  };
  expect(json.results.detection.predictions[0]?.detections).toHaveLength(shown);
  const saved = await readFile(await (await press('Picture')).path());
  expect(saved.subarray(1, 4).toString()).toBe('PNG');
  expect(saved.readUInt32BE(16)).toBe(64 * 8); // enlarged, so that labels can be read
});

test('why: the saliency picture lies over the image', async ({ page }) => {
  await open(page);
  await files(page).setInputFiles(png());
  await answered(page);
  const canvas = page.getByRole('application').locator('canvas').first();
  const pixels = () => canvas.evaluate((element: HTMLCanvasElement) => element.toDataURL());
  const plain = await pixels();
  const why = page.getByRole('button', { name: 'Why? (Classification)' });
  await why.click();
  const strength = page.getByRole('slider', { name: 'Strength of the overlay' });
  await expect(strength).toBeVisible();
  await expect.poll(pixels).not.toBe(plain);
  const saved = async () => {
    const download = page.waitForEvent('download');
    await page.getByRole('group', { name: 'Save' }).getByRole('button', { name: 'Picture' }).click();
    return readFile(await (await download).path());
  };
  const withReasons = await saved();
  await strength.fill('0');
  await expect.poll(pixels).toBe(plain);
  expect((await saved()).equals(withReasons)).toBe(false);
  await strength.fill('1');
  await why.click();
  await expect(strength).toHaveCount(0);
  await expect.poll(pixels).toBe(plain);
});

test('why: who looks at another picture meanwhile asks again', async ({ page }) => {
  await open(page);
  await files(page).setInputFiles([png(64, 48, 1), png(64, 48, 2)]);
  await answered(page);
  const why = page.getByRole('button', { name: 'Why? (Classification)' });
  await why.click();
  await expect(page.getByRole('slider', { name: 'Strength of the overlay' })).toBeVisible();
  await page.getByRole('button', { name: 'Next picture' }).click();
  await expect(why).toHaveAttribute('aria-pressed', 'false');
  await page.getByRole('button', { name: 'Previous picture' }).click();
  await expect(why).toHaveAttribute('aria-pressed', 'false');
  await expect(page.getByRole('slider', { name: 'Strength of the overlay' })).toHaveCount(0);
});

test('everything is in German too, and the choice is kept', async ({ page }) => {
  await open(page);
  await page.getByRole('button', { name: 'Appearance and language' }).click();
  await page.getByRole('menuitemradio', { name: 'Deutsch' }).click();
  await expect(page.getByRole('heading', { name: 'Bilder hier ablegen' })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('heading', { name: 'Bilder hier ablegen' })).toBeVisible();
  expect(await page.locator('html').getAttribute('lang')).toBe('de');
});

test('it is all done with the keyboard', async ({ page }) => {
  await knowDigits(page);
  await open(page);
  const sample = page.getByRole('button', { name: 'A scene of digits 2' });
  for (let presses = 0; presses < 30 && !(await sample.evaluate((e) => e === document.activeElement)); presses += 1) {
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await answered(page);
  await threshold(page).focus();
  const before = Number(await threshold(page).inputValue());
  await page.keyboard.press('ArrowLeft');
  expect(Number(await threshold(page).inputValue())).toBeCloseTo(before - 0.01);
});
