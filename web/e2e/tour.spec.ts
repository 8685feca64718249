import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { APIRequestContext, Page } from '@playwright/test';

import { expect, picture, test } from './fixtures';

// The page as people will see it, for README and docs: `python -m pipelines.tour` starts it with a folder of scenes and a
// film of some, and makes the pictures small. The service should have models that know digits.
const SCENES = process.env.TOUR_SCENES ?? '';
const FILM = join(SCENES, 'film.mjpeg');

test.skip(!SCENES, 'python -m pipelines.tour runs it');
test.use({ viewport: { width: 1280, height: 800 } });
if (SCENES && existsSync(FILM)) {
  const args = ['--headless', '--no-sandbox', '--disable-gpu', '--use-fake-ui-for-media-stream'];
  test.use({
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [...args, '--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${FILM}`],
    },
  });
}

const scenes = () =>
  readdirSync(SCENES)
    .filter((name) => name.endsWith('.png'))
    .sort()
    .map((name) => ({ name, mimeType: 'image/png', buffer: readFileSync(join(SCENES, name)) }));

async function show(page: Page, name: string) {
  await page.mouse.move(0, 0);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  await picture(page, `web-${name}`);
}

async function trySample(page: Page, sample: string) {
  await page.goto('/');
  await page.getByRole('button', { name: sample }).click();
  await expect(page.getByRole('heading', { name: 'Detection' })).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Classification' })).toBeVisible();
}

test('try it', async ({ page }) => {
  await trySample(page, 'A scene of digits 1');
  await page.getByRole('radio', { name: 'Detection' }).click();
  await expect(page.getByRole('heading', { name: 'Classification' })).toHaveCount(0);
  await show(page, 'try');
});

test('why', async ({ page }) => {
  await trySample(page, 'A handwritten digit');
  await page.getByRole('button', { name: 'Why? (Classification)' }).click();
  await expect(page.getByRole('slider', { name: 'Strength of the overlay' })).toBeVisible();
  await show(page, 'why');
});

test('live', async ({ page }) => {
  await page.goto('/live');
  await page.getByRole('button', { name: 'Start the camera' }).click();
  await expect(page.getByTestId('fps')).toHaveText(/^[\d.]+$/);
  await expect(page.getByTestId('seen').getByRole('listitem').first()).toBeVisible();
  await show(page, 'live');
});

test('many', async ({ page }) => {
  await page.goto('/many');
  await page.getByTestId('many-files').setInputFiles(scenes());
  await page.getByRole('radio', { name: 'Detection' }).click();
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(page.getByText('Done', { exact: true })).toBeVisible({ timeout: 90_000 });
  await expect(page.getByRole('grid', { name: 'Pictures of the batch' }).locator('img').first()).toBeVisible();
  await page.waitForTimeout(1000); // pictures come one after another
  await show(page, 'many');
});

test('correct', async ({ page, request }) => {
  const asked = await askAboutScenes(request, 8);
  await expect
    .poll(async () => {
      const answer = await request.get('/v1/queue', { params: { task: 'detection', limit: '100' } });
      return ((await answer.json()) as { waiting: number }).waiting;
    })
    .toBeGreaterThanOrEqual(asked);
  await page.goto('/label');
  await page.getByRole('radio', { name: 'Detection' }).click();
  await expect(page.getByRole('list', { name: 'Boxes' })).toBeVisible();
  await show(page, 'correct');
});

async function askAboutScenes(request: APIRequestContext, count: number): Promise<number> {
  const some = scenes().slice(0, count);
  for (const image of some) await request.post('/v1/detect', { multipart: { image, store: 'true' } });
  return some.length;
}

test('models', async ({ page }) => {
  await page.goto('/models');
  await expect(page.getByRole('heading', { name: 'Versions', exact: true })).toBeVisible();
  await page.waitForTimeout(300);
  await show(page, 'models');
});

for (const [name, part, task] of [
  ['report', 'Right and wrong', 'classification'],
  ['worst', 'Worst images', 'detection'],
] as const) {
  test(`the report: ${part}`, async ({ page }) => {
    await page.goto('/models');
    await page.getByRole('radio', { name: task }).first().click();
    await page.getByRole('button', { name: 'Report and model card' }).first().click();
    await page.getByRole('radio', { name: part }).click();
    if (name === 'worst') await expect(page.getByRole('img').first()).toBeVisible();
    await page.getByRole('heading', { name: /^Report of version/ }).evaluate((heading) => heading.scrollIntoView());
    await page.waitForTimeout(300);
    await show(page, name);
  });
}

test.describe('on a phone, in the dark', () => {
  test.use({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });

  test('try it', async ({ page }) => {
    await trySample(page, 'A scene of digits 2');
    await show(page, 'phone');
  });
});
