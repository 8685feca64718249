import type { Page } from '@playwright/test';

import { expect, picture, png, test, violationsDayAndNight } from './fixtures';

const BUDGET_BYTES = 250_000;

async function answered(page: Page) {
  await page.getByTestId('files').setInputFiles([png(640, 480), { name: 'b.png', mimeType: 'image/png', buffer: Buffer.from('no') }]);
  await page.getByRole('list', { name: 'Pictures' }).getByRole('button').first().click();
  await expect(page.getByRole('heading', { name: 'Detection' })).toBeVisible();
  await page.getByRole('slider', { name: 'Least confidence' }).fill('0');
}

for (const width of [320, 1440]) {
  test.describe(`${width} px`, () => {
    test.use({ viewport: { width, height: width === 320 ? 640 : 900 } });

    test('axe finds nothing, and nothing is cut off', async ({ page }) => {
      const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
      await page.goto('/');
      await expect(page.getByRole('heading', { name: 'Drop pictures here' })).toBeVisible();
      expect(await violationsDayAndNight(page, `empty-${width}`)).toEqual([]);
      expect(await fits()).toBe(true);
      await answered(page);
      expect(await violationsDayAndNight(page, `answer-${width}`)).toEqual([]);
      expect(await fits()).toBe(true);
      await page.getByRole('button', { name: /^b\.png/ }).click();
      await expect(page.getByRole('alert')).toBeVisible();
      expect(await violationsDayAndNight(page, `refused-${width}`)).toEqual([]);
      await page.getByRole('button', { name: 'Appearance and language' }).click();
      await expect(page.getByRole('menu')).toBeVisible();
      expect(await violationsDayAndNight(page, `menu-${width}`)).toEqual([]);
    });
  });
}

test.describe('in German, on a small phone', () => {
  test.use({ locale: 'de', viewport: { width: 320, height: 640 } });

  test('nothing is cut off in any panel', async ({ page }) => {
    const wider = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    await page.goto('/');
    await page.getByTestId('files').setInputFiles(png(64, 48));
    await expect(page.getByRole('heading', { name: 'Detektion' })).toBeVisible();
    expect(await wider()).toBe(0);
    await page.goto('/live');
    await page.getByRole('button', { name: 'Kamera' }).last().click();
    await expect(page.getByTestId('fps')).toHaveText(/^[\d,]+$/);
    expect(await wider()).toBe(0);
    await page.goto('/many');
    await expect(page.getByRole('button', { name: 'Ordner wählen' })).toBeVisible();
    expect(await wider()).toBe(0);
    await page.goto('/label');
    await expect(page.getByRole('radio', { name: 'Am nützlichsten' })).toBeVisible();
    expect(await wider()).toBe(0);
    await page.goto('/models');
    await page.getByRole('button', { name: 'Bericht und Modellkarte' }).first().click();
    for (const part of ['Zahlen', 'Richtig und falsch', 'Schlechteste Bilder', 'Modellkarte']) {
      await page.getByRole('radio', { name: part }).click();
      expect(await wider()).toBe(0);
    }
  });
});

test('the first visit transfers little and is ready soon', async ({ browser }) => {
  const visits: { bytes: number; paint: number; ready: number }[] = [];
  for (let visit = 0; visit < 4; visit += 1) {
    const context = await browser.newContext({ locale: 'en' }); // an empty cache
    const page = await context.newPage();
    await page.goto('/', { waitUntil: 'networkidle' });
    await expect(page.getByRole('heading', { name: 'Drop pictures here' })).toBeVisible();
    visits.push(
      await page.evaluate(() => {
        const entries = performance.getEntries() as (PerformanceEntry & { transferSize?: number })[];
        return {
          bytes: entries.reduce((sum, { transferSize = 0 }) => sum + transferSize, 0),
          paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity,
          ready: performance.getEntriesByName('visionloop-ready')[0]?.startTime ?? Infinity,
        };
      }),
    );
    await context.close();
  }
  console.log('visits', JSON.stringify(visits));
  // Bytes are the same each time; for times the best counts, since the machine may do other work meanwhile.
  expect(Math.max(...visits.map(({ bytes }) => bytes))).toBeLessThan(BUDGET_BYTES);
  expect(Math.min(...visits.map(({ bytes }) => bytes))).toBeGreaterThan(50_000);
  expect(Math.min(...visits.map(({ paint }) => paint))).toBeLessThan(1_000);
  expect(Math.min(...visits.map(({ ready }) => ready))).toBeLessThan(1_500);
});

test('500 boxes are filtered at 30 frames a second and more', async ({ page }) => {
  await page.route('**/v1/predict', async (route) => {
    const response = await route.fetch();
    const answer = (await response.json()) as { results: { detection: { predictions: { detections: object[] }[] } } };
    const prediction = answer.results.detection.predictions[0];
    if (!prediction) throw new Error('no prediction');
    prediction.detections = Array.from({ length: 500 }, (_, index) => {
      const [x, y] = [(index % 25) * 40, Math.floor(index / 25) * 36];
      return { class: `class ${index % 10}`, class_id: index % 10, score: 1 - index / 500, box_xyxy: [x, y, x + 36, y + 32] };
    });
    await route.fulfill({ response, json: answer });
  });
  await page.goto('/');
  await page.getByTestId('files').setInputFiles(png(1000, 720));
  await expect(page.getByRole('heading', { name: 'Detection' })).toBeVisible();
  const slider = page.getByRole('slider', { name: 'Least confidence' });
  await slider.fill('0');
  await expect(page.getByTestId('count')).toContainText('500 objects');
  await picture(page, 'boxes-500');
  const rates: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    rates.push(
      await slider.evaluate(async (input: HTMLInputElement) => {
        // React sees only what is set past its own property.
        const property = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value');
        const frames = 60;
        const started = performance.now();
        for (let frame = 0; frame < frames; frame += 1) {
          property?.set?.call(input, String((frame % 30) / 100));
          input.dispatchEvent(new Event('input', { bubbles: true }));
          input.dispatchEvent(new Event('change', { bubbles: true }));
          await new Promise(requestAnimationFrame);
        }
        return (1000 * frames) / (performance.now() - started);
      }),
    );
  }
  console.log('frames/s', rates.map(Math.round).join(' '));
  expect(Math.max(...rates)).toBeGreaterThan(30);
});

test('two hundred uploads leave no memory behind', async ({ page }) => {
  await page.goto('/');
  await expect(page.getByRole('heading', { name: 'Drop pictures here' })).toBeVisible();
  const session = await page.context().newCDPSession(page);
  const heap = async () => {
    await session.send('HeapProfiler.collectGarbage');
    return (await session.send('Runtime.getHeapUsage')).usedSize;
  };
  const upload = async (number: number) => {
    await page.getByTestId('files').setInputFiles(Array.from({ length: number }, (_, seed) => png(64, 48, seed)));
    await expect(page.getByRole('list', { name: 'Pictures' }).getByRole('button', { name: /, done$/ })).toHaveCount(number);
    await page.getByRole('button', { name: 'Remove all' }).click();
    await expect(page.getByRole('heading', { name: 'Drop pictures here' })).toBeVisible();
  };
  for (let round = 0; round < 2; round += 1) await upload(50); // what is loaded once is loaded, caches are full
  const before = await heap();
  for (let round = 0; round < 4; round += 1) await upload(50);
  const grown = (await heap()) - before;
  console.log('heap grew by', grown);
  expect(grown).toBeLessThan(1_500_000);
});

test('the page loads nothing from elsewhere and cannot be framed', async ({ page, baseURL }) => {
  const foreign: string[] = [];
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith('http') && origin !== new URL(baseURL ?? '').origin) foreign.push(request.url());
  });
  const response = await page.goto('/');
  expect(response?.headers()['content-security-policy']).toContain("frame-ancestors 'none'");
  await answered(page);
  expect(foreign).toEqual([]);
});
