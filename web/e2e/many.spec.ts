import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Page } from '@playwright/test';
import { Uint8ArrayReader, Uint8ArrayWriter, ZipWriter } from '@zip.js/zip.js';

import { expect, picture, png, test, violations, violationsDayAndNight } from './fixtures';

const grid = (page: Page) => page.getByRole('grid', { name: 'Pictures of the batch' });
const cells = (page: Page) => grid(page).getByRole('gridcell');
const shown = (page: Page) => page.getByTestId('shown');
const start = (page: Page) => page.getByRole('button', { name: 'Start' });
const names = (page: Page) =>
  cells(page).evaluateAll((all) => all.map((cell) => cell.querySelector<HTMLElement>('[title]')?.title));

async function open(page: Page) {
  await page.goto('/many');
  await expect(page.getByRole('heading', { name: 'Drop a folder or a zip here' })).toBeVisible();
}

async function done(page: Page) {
  await expect(page.getByText('Done', { exact: true })).toBeVisible({ timeout: 90_000 });
  await expect(shown(page)).toBeVisible();
}

async function zip(files: { name: string; buffer: Buffer }[], level = 6) {
  const writer = new ZipWriter(new Uint8ArrayWriter(), { useWebWorkers: false, level });
  for (const { name, buffer } of files) await writer.add(name, new Uint8ArrayReader(buffer));
  return { name: 'pictures.zip', mimeType: 'application/zip', buffer: Buffer.from(await writer.close()) };
}

const many = (count: number, width = 32, height = 24) =>
  Array.from({ length: count }, (_, seed) => ({ name: `set/${seed}.png`, buffer: png(width, height, seed).buffer }));

/** A folder of twelve pictures, one of them in a folder inside, a broken one and a text. */
function folder(): string {
  const root = join(mkdtempSync(join(tmpdir(), 'many-')), 'scans');
  mkdirSync(join(root, 'more'), { recursive: true });
  for (let seed = 0; seed < 11; seed += 1) writeFileSync(join(root, `${seed}.png`), png(64, 48, seed).buffer);
  writeFileSync(join(root, 'more/11.png'), png(48, 64, 11).buffer);
  writeFileSync(join(root, 'broken.png'), png().buffer.subarray(0, 20));
  writeFileSync(join(root, 'notes.txt'), 'no picture');
  writeFileSync(join(root, 'huge.png'), Buffer.alloc(10_000_001));
  return root;
}

async function sendFolder(page: Page, root: string, task: string) {
  await page.getByTestId('many-folder').setInputFiles(root);
  await page.getByRole('radio', { name: task }).click();
  await start(page).click();
  await done(page);
  // Pictures are read once their cells have been there for a moment.
  await expect(grid(page).locator('img').first()).toBeVisible();
}

test('a folder is worked through, filtered, sorted, downloaded, found again and removed', async ({ page }) => {
  await open(page);
  const root = folder();
  await page.getByTestId('many-folder').setInputFiles(root);
  await expect(page.getByText(/^13 images · /)).toBeVisible();
  await expect(page.getByText('2 files left out')).toBeVisible();
  await expect(page.getByText(/scans\/huge\.png: 10 MB, more than the service takes/)).toBeVisible();
  await expect(page.getByText('scans/notes.txt: not a JPEG, PNG, WebP or BMP')).toBeVisible();
  await page.getByRole('radio', { name: 'Classification' }).click();
  await picture(page, 'many-confirm');
  await start(page).click();
  await done(page);
  await expect(page.getByText('13 of 13 images')).toBeVisible();
  await expect(page.getByText('tiny-classification 1')).toBeVisible();
  await expect(cells(page)).toHaveCount(13);

  await expect(grid(page).locator('img')).toHaveCount(12);
  // The pictures are those of the disk, each in the cell of its name.
  const sizes = await cells(page).evaluateAll(async (all) => {
    const found: Record<string, string> = {};
    for (const cell of all) {
      const image = cell.querySelector('img');
      await image?.decode().catch(() => undefined);
      found[cell.querySelector<HTMLElement>('[title]')?.title ?? ''] = `${image?.naturalWidth} ${image?.naturalHeight}`;
    }
    return found;
  });
  expect(sizes['scans/0.png']).toBe('64 48');
  expect(sizes['scans/more/11.png']).toBe('48 64');

  // Unsure first: the percentages rise, and what was refused comes last.
  const texts = await cells(page).allTextContents();
  const scores = texts.slice(0, -1).map((text) => parseInt(/(\d+)%/.exec(text)?.[1] ?? '', 10));
  expect(scores).toEqual([...scores].sort((a, b) => a - b));
  await expect(cells(page).last()).toHaveText(/^(The image file is damaged|This is not).*scans\/broken\.png$/);
  await expect(page.getByRole('region', { name: 'Refused images' })).toContainText('scans/broken.png');
  const counts = await page.getByRole('list', { name: 'Findings by class' }).getByRole('listitem').allTextContents();
  expect(counts.reduce((sum, text) => sum + parseInt(/\d+$/.exec(text)?.[0] ?? '', 10), 0)).toBe(12);

  await page.getByRole('radio', { name: 'Name' }).click();
  expect(await names(page)).toEqual([
    ...Array.from({ length: 11 }, (_, seed) => `scans/${seed}.png`),
    'scans/more/11.png',
    'scans/broken.png',
  ]);

  await page.getByLabel('Class', { exact: true }).selectOption('failed');
  await expect(cells(page)).toHaveCount(1);
  const [, option] = await page.getByLabel('Class', { exact: true }).getByRole('option').allTextContents();
  await page.getByLabel('Class', { exact: true }).selectOption(option ?? '');
  await expect(cells(page)).toHaveCount(parseInt(/\((\d+)\)/.exec(option ?? '')?.[1] ?? '', 10));
  await page.getByLabel('Class', { exact: true }).selectOption('all');
  const most = Math.max(...scores) / 100;
  await page.getByRole('slider', { name: 'Least confidence' }).fill(String(Math.min(1, most + 0.01)));
  await expect(page.getByText(/No picture is like that/)).toBeVisible();
  await page.getByRole('slider', { name: 'Least confidence' }).fill('0');
  await expect(cells(page)).toHaveCount(13);

  const save = async (name: string) => {
    const saved = page.waitForEvent('download');
    await page.getByRole('group', { name: 'Download' }).getByRole('button', { name }).click();
    const download = await saved;
    return { name: download.suggestedFilename(), text: readFileSync(await download.path(), 'utf8') };
  };
  const csv = await save('CSV');
  expect(csv.name).toBe('scans-classification.csv');
  expect(csv.text.trim().split(/\r?\n/)).toHaveLength(14);
  expect(csv.text).toContain('scans/more/11.png');
  const lines = (await save('JSON lines')).text.trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { index: number }).index)).toEqual(lines.map((_, index) => index));
  await expect(page.getByRole('button', { name: 'COCO' })).toHaveCount(0);

  await page.reload();
  await expect(cells(page)).toHaveCount(13);
  await expect(shown(page)).toContainText('not on hand');
  await expect(grid(page).locator('img')).toHaveCount(0);
  await picture(page, 'many-reloaded');
  await page.getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('button', { name: 'Remove the batch' }).click();
  await expect(page.getByRole('heading', { name: 'Drop a folder or a zip here' })).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Earlier batches' })).toHaveCount(0);
  rmSync(join(root, '..'), { recursive: true });
});

test('the gallery is walked through with keys, and a picture is looked at', async ({ page }) => {
  await open(page);
  const root = folder();
  await sendFolder(page, root, 'Classification');
  await page.getByRole('radio', { name: 'Name' }).click();
  await cells(page).first().focus();
  await page.keyboard.press('ArrowRight');
  await expect(cells(page).nth(1)).toBeFocused();
  await page.keyboard.press('Control+End');
  await expect(cells(page).last()).toBeFocused();
  await page.keyboard.press('Control+Home');
  await expect(cells(page).first()).toBeFocused();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('heading', { name: 'scans/0.png' })).toBeVisible();
  await expect(dialog.getByText('64 × 48 px')).toBeVisible();
  await expect(dialog.getByRole('button', { name: 'Previous' })).toBeDisabled();
  await dialog.getByRole('button', { name: 'Next' }).click();
  await expect(dialog.getByRole('heading', { name: 'scans/1.png' })).toBeVisible();
  await picture(page, 'many-detail');
  expect(await violations(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  await expect(cells(page).first()).toBeFocused();
  rmSync(join(root, '..'), { recursive: true });
});

test('an archive is asked about boxes, its pictures are read in the browser', async ({ page }) => {
  // Untrained models are sure of nothing: the five best boxes of each image come all the same.
  await page.route('**/v1/batches?*', (route) => route.continue({ url: `${route.request().url()}&threshold=0&top_k=5` }));
  await open(page);
  await page.getByTestId('many-files').setInputFiles(await zip([...many(8, 128, 96), { name: 'set/bad.png', buffer: Buffer.from('bad') }]));
  await expect(page.getByText(/Zip archive · /)).toBeVisible();
  await page.getByRole('radio', { name: 'Detection' }).click();
  await start(page).click();
  await done(page);
  await expect(cells(page)).toHaveCount(9);
  await expect(grid(page).locator('img')).toHaveCount(8);
  const widths = await grid(page).evaluate(async (element) => {
    const images = [...element.querySelectorAll('img')];
    await Promise.all(images.map((image) => image.decode().catch(() => undefined)));
    return images.map(({ naturalWidth }) => naturalWidth);
  });
  expect(widths).toEqual(new Array(8).fill(128));
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'COCO' }).click();
  const boxes = JSON.parse(readFileSync(await (await saved).path(), 'utf8')) as { score: number }[];
  expect(boxes.length).toBeGreaterThan(8);
  await expect(grid(page).locator('svg rect[stroke]')).toHaveCount(boxes.length);
  await picture(page, 'many-zip');
  // Boxes of less confidence than asked for are neither drawn nor a reason to show a picture.
  const scores = boxes.map(({ score }) => score);
  const low = Math.ceil(100 * Math.max(...scores)) / 100 - 0.01;
  await page.getByRole('slider', { name: 'Least confidence' }).fill(String(low));
  await expect(grid(page).locator('svg rect[stroke]')).toHaveCount(scores.filter((score) => score >= low).length);
  await cells(page).first().click();
  await expect(page.getByRole('dialog').getByRole('application')).toBeVisible();
  await picture(page, 'many-boxes');
  const looked = page.waitForRequest(/\/v1\/predictions\/[^/]+\/image/);
  await page.getByRole('dialog').getByRole('link', { name: 'Judge or correct it' }).click();
  await expect(page).toHaveURL(/\/label\?task=detection&prediction=\w+$/);
  await looked;
});

test('a gallery of a thousand scrolls with few cells and few pictures in memory', async ({ page }) => {
  await page.addInitScript(() => {
    const live = new Set<string>();
    const [make, revoke] = [URL.createObjectURL.bind(URL), URL.revokeObjectURL.bind(URL)];
    URL.createObjectURL = (object: Blob) => {
      const url = make(object);
      live.add(url);
      return url;
    };
    URL.revokeObjectURL = (url) => {
      live.delete(url);
      revoke(url);
    };
    Object.assign(window, { liveUrls: live });
  });
  await open(page);
  await page.getByTestId('many-files').setInputFiles(await zip(many(1_000)));
  await page.getByRole('radio', { name: 'Classification' }).click();
  await start(page).click();
  await done(page);
  await expect(shown(page)).toContainText('1,000 of 1,000');
  await page.getByRole('radio', { name: 'Name' }).click();
  await expect(grid(page).locator('img').first()).toBeVisible();
  await picture(page, 'many-thousand');
  const { most, urls, seen } = await grid(page).evaluate(async (element) => {
    const found = { most: 0, urls: 0, seen: new Set<string>() };
    const frames = 120;
    for (let frame = 0; frame <= frames; frame += 1) {
      element.scrollTop = ((element.scrollHeight - element.clientHeight) * frame) / frames;
      await new Promise(requestAnimationFrame);
      const cells = element.querySelectorAll('[role=gridcell]');
      found.most = Math.max(found.most, cells.length);
      found.urls = Math.max(found.urls, (window as unknown as { liveUrls: Set<string> }).liveUrls.size);
      for (const cell of cells) found.seen.add(cell.getAttribute('data-place') ?? '');
    }
    return { ...found, seen: found.seen.size };
  });
  expect(most).toBeLessThan(120);
  expect(urls).toBeLessThan(240);
  expect(seen).toBeGreaterThan(900);
  await expect(cells(page).last()).toHaveText(/set\/999\.png$/);
  await expect(cells(page).last().locator('img')).toBeVisible();
});

test('an upload is cancelled and sent again; refusals say what to do', async ({ page, context }) => {
  await open(page);
  const session = await context.newCDPSession(page);
  const limit = (uploadThroughput: number) =>
    session.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput });
  await session.send('Network.enable');
  await limit(50_000);
  const slow = await zip([...many(4), { name: 'filler.txt', buffer: Buffer.from(Array.from({ length: 2_000_000 }, (_, at) => (at * at * 7919) >> 5)) }]);
  await page.getByTestId('many-files').setInputFiles(slow);
  await start(page).click();
  await expect(page.getByRole('progressbar', { name: 'Uploading' })).toBeVisible();
  await picture(page, 'many-uploading');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(page.getByText('The upload was cancelled')).toBeVisible();
  await limit(-1);
  await page.getByRole('button', { name: 'Try again' }).click();
  await done(page);
  await expect(page.getByText('1 file left out')).toBeVisible();

  await page.getByRole('button', { name: 'New batch' }).click();
  await page.getByTestId('many-files').setInputFiles({ name: 'odd.zip', mimeType: 'application/zip', buffer: Buffer.from('no zip') });
  await start(page).click();
  await expect(page.getByRole('alert')).toContainText('not a zip archive that the service can read');
  await picture(page, 'many-refused');
  expect(await violations(page)).toEqual([]);
  await page.getByRole('button', { name: 'Discard' }).click();
  // Dropped, this time.
  const transfer = await page.evaluateHandle(() => {
    const dropped = new DataTransfer();
    dropped.items.add(new File(['text'], 'a.txt'));
    return dropped;
  });
  await page.dispatchEvent('main', 'dragenter', { dataTransfer: transfer });
  await expect(page.getByText('Drop to add')).toBeVisible();
  await page.dispatchEvent('main', 'drop', { dataTransfer: transfer });
  await expect(page.getByRole('alert')).toContainText('no picture in what you chose');
  await page.getByTestId('many-files').setInputFiles({ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('text') });
  await expect(page.getByRole('alert')).toContainText('no picture in what you chose');
  await context.setOffline(true);
  await page.getByTestId('many-files').setInputFiles(png());
  await start(page).click();
  await expect(page.getByRole('alert')).toContainText('The service does not answer');
  await context.setOffline(false);
  await page.getByRole('button', { name: 'Try again' }).click();
  await done(page);
  // The first batch is still listed, and the service still has it.
  await page.getByRole('button', { name: /^pictures\.zip/ }).click();
  await expect(cells(page)).toHaveCount(4);
});

test('a batch that runs survives a reload, and is cancelled', async ({ page }) => {
  await open(page);
  await page.getByTestId('many-files').setInputFiles(await zip(many(3_000), 0));
  await page.getByRole('radio', { name: 'Detection' }).click();
  await start(page).click();
  const bar = page.getByRole('progressbar', { name: 'The model works through it' });
  await expect(bar).toBeVisible();
  await page.reload();
  await expect(bar).toBeVisible();
  await expect(page.getByText(/images per second/)).toBeVisible();
  await picture(page, 'many-running');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(page.getByText('Cancelled', { exact: true })).toBeVisible();
  await page.getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('button', { name: 'Remove the batch' }).click();
  await expect(page.getByRole('heading', { name: 'Drop a folder or a zip here' })).toBeVisible();
});

test('axe finds nothing in "Many", and nothing is cut off', async ({ page }) => {
  const check = async (what: string) => {
    for (const width of [1440, 320]) {
      await page.setViewportSize({ width, height: width === 320 ? 640 : 900 });
      expect(await violationsDayAndNight(page, `many-${what}-${width}`)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    }
  };
  await open(page);
  await check('empty');
  const root = folder();
  await sendFolder(page, root, 'Detection');
  await check('done');
  await page.getByRole('region', { name: 'Refused images' }).scrollIntoViewIfNeeded();
  await picture(page, 'many-statistics');
  rmSync(join(root, '..'), { recursive: true });
});
