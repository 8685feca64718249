import type { Page } from '@playwright/test';

import { expect, picture, test, violations, violationsDayAndNight } from './fixtures';

// tests/web/catalog.py has what the registry would have written beside the pointer.
const MODEL = 'tiny-classification';

async function open(page: Page) {
  await page.goto('/models');
  await page.getByRole('radio', { name: MODEL }).click();
  await expect(page.getByRole('heading', { name: 'Versions', exact: true })).toBeVisible();
}

test('versions, their evidence, the gate and the history are shown', async ({ page }) => {
  await open(page);
  const serves = page.getByRole('region', { name: 'Serves now' });
  await expect(serves.getByRole('listitem').filter({ hasText: 'Classification · Champion' })).toContainText(`${MODEL} 1`);
  const versions = page.getByRole('region', { name: 'Versions', exact: true });
  const newest = versions.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'Version 3' }) });
  await expect(newest).toContainText('challenger');
  await expect(newest).toContainText('Right answers accuracy 0.9300 95% interval 0.9000 to 0.9500');
  await expect(newest).toContainText('Check before use: failed. It may not become champion, because:');
  await newest.getByText('What was checked').click();
  await expect(newest).toContainText('did not hold: red, the class that fares worst, loses 0.1100 of Recall; only 0.02 is allowed.');
  await expect(newest).toContainText('held: Right answers 0.9300 is at or above its floor 0.5.');
  const table = page.getByRole('table');
  await expect(table.first().getByRole('row').nth(1)).toHaveText(/^Right answers accuracy\s*0\.9100.*0\.9300.*\+0\.0200$/s);
  await page.getByRole('checkbox', { name: 'Compare version 2' }).check();
  await expect(page.getByRole('heading', { name: 'Version 3 and version 2' })).toBeVisible();
  const history = page.getByRole('region', { name: 'Changes of the champion' }).getByRole('listitem');
  await expect(history).toHaveCount(3);
  await expect(history.first()).toContainText(`${MODEL}: back to version 1`);
  await expect(history.first()).toContainText('misses reds at night');
});

test('the report and the model card of a version are read in place', async ({ page }) => {
  await open(page);
  const opener = page.getByRole('button', { name: 'Report and model card Version 3' });
  await opener.focus();
  await page.keyboard.press('Enter');
  const report = page.getByRole('region', { name: 'Report of version 3' });
  await expect(report.getByRole('heading', { name: 'Report of version 3' })).toBeFocused();
  await expect(opener).toHaveAttribute('aria-expanded', 'true');
  await expect(report).toContainText('Measured on 500 images: test of tiny');
  await expect(report).toContainText(/accuracy\s*0\.9300\s*95% interval 0\.8800 to 0\.9500/);
  const rows = report.getByRole('table').getByRole('row');
  await expect(rows).toHaveCount(4);
  await expect(rows.nth(1)).toContainText('a class with a very long name'); // the weakest
  await expect(rows.nth(2)).toHaveText(/^red\s*50\s*0\.9000\s*0\.86000\.7600 – 0\.9000\s*0\.8500/);
  await picture(page, 'models-report-numbers');

  await report.getByRole('radio', { name: 'Right and wrong' }).click();
  await expect(report.getByTitle('9 of 50 images of red were taken for green')).toHaveText('9');
  await expect(report.getByRole('listitem').first()).toHaveText(/^a class .* taken for red\s*25$/);
  await expect(report.getByRole('img', { name: 'Does the stated confidence hold?' })).toBeVisible();
  await picture(page, 'models-report-errors');

  await report.getByRole('radio', { name: 'Worst images' }).click();
  await expect(report.getByRole('img', { name: 'Image tiny-0: shows red, found green, 81%' })).toBeVisible();
  await expect(report.getByRole('img')).toHaveCount(3);
  const drawn = await report.getByRole('img').first().evaluate((image: HTMLImageElement) => image.naturalWidth);
  expect(drawn).toBe(64);

  await report.getByRole('radio', { name: 'Model card' }).click();
  await expect(report.getByRole('heading', { name: 'Classification model for tiny' })).toBeVisible();
  await expect(report.getByRole('listitem')).toHaveText('temperature: 1.2');
  // What looks like HTML or a link is text.
  await expect(report).toContainText('<img src=x onerror="alert(1)"> [press me](javascript:alert(1))');
  await expect(report.locator('img, a, script')).toHaveCount(0);

  await report.getByRole('button', { name: 'Close' }).press('Enter');
  await expect(report).toHaveCount(0);
  await expect(opener).toBeFocused();
  const second = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'Version 2' }) });
  await expect(second).toContainText('no report is kept with it');
});

test('boxes of a report are drawn, and its curves', async ({ page }) => {
  await page.goto('/models');
  await page.getByRole('radio', { name: 'tiny-detection' }).click();
  await page.getByRole('button', { name: 'Report and model card' }).click();
  const report = page.getByRole('region', { name: 'Report of version 1' });
  await report.getByRole('radio', { name: 'Right and wrong' }).click();
  const curves = report.getByRole('img', { name: 'Precision against recall' });
  await expect(curves.locator('polyline')).toHaveCount(3);
  await expect(report.getByRole('list', { name: 'Classes' }).getByRole('listitem')).toHaveCount(3);
  await picture(page, 'models-report-curves');
  await report.getByRole('radio', { name: 'Worst images' }).click();
  await expect(report.getByRole('img', { name: 'Image tiny-0: shows red, found green' })).toBeVisible();
  const first = report.getByRole('figure').first();
  await expect(first.locator('svg text')).toHaveText('≠green');
  await expect(first).toContainText('wrong class: green for red');
  await picture(page, 'models-report-examples');
});

test('two versions are compared class by class, and a report that is gone says so', async ({ page }) => {
  await open(page);
  const classes = page.getByRole('table').nth(1);
  await expect(classes.getByRole('row').nth(1)).toHaveText(/^green\s*50\s*0\.9400\s*0\.9400\s*0\.0000$/);
  await expect(classes.getByRole('row').nth(3)).toHaveText(/^red\s*50\s*0\.8100\s*0\.8500\s*\+0\.0400$/);
  await page.getByRole('combobox', { name: 'Metric' }).selectOption('recall');
  await expect(classes.getByRole('row').nth(3)).toHaveText(/^red\s*50\s*0\.8200\s*0\.8600/);
  await page.getByRole('checkbox', { name: 'Compare version 2' }).check();
  await expect(page.getByText('One of the two has no report')).toBeVisible();
  const facts = { detail: 'there is no such report', where: 'path', expected: '', action: '' };
  await page.route('**/v1/models/reports/3333333333333333', (route) =>
    route.fulfill({ status: 404, json: { code: 'unknown_report', ...facts } }),
  );
  await page.reload();
  await page.getByRole('button', { name: 'Report and model card Version 3' }).click();
  await expect(page.getByRole('alert')).toContainText('This report is gone');
});

test('a change is made once it is confirmed, and says what it did', async ({ page }) => {
  const bodies: unknown[] = [];
  await page.route('**/v1/models/change', async (route) => {
    bodies.push(route.request().postDataJSON());
    await route.fulfill({ json: { summary: 'version 3 is champion' } });
  });
  await open(page);
  const versions = page.getByRole('region', { name: 'Versions', exact: true });
  const newest = versions.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'Version 3' }) });
  await newest.getByRole('button', { name: 'Promote…' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText('Version 3 of tiny-classification becomes champion');
  await expect(dialog).toContainText('The check did not pass: red, the class that fares worst, loses 0.1100 of Recall');
  await expect(dialog.getByRole('button', { name: 'Promote' })).toBeDisabled();
  await picture(page, 'models-promote');
  expect(await violations(page)).toEqual([]);
  await dialog.getByRole('checkbox').check();
  await dialog.getByLabel('Reason, for the audit').fill('the reds were mislabelled');
  await dialog.getByRole('button', { name: 'Promote' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Done: version 3 is champion' })).toBeVisible();
  await page.getByRole('button', { name: 'Roll back…' }).click();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(dialog).toHaveCount(0);
  await newest.getByRole('button', { name: 'Try as canary…' }).click();
  await dialog.getByRole('checkbox').check(); // it was refused
  await dialog.getByRole('button', { name: 'Start' }).click();
  await expect(dialog).toHaveCount(0);
  const base = { model: MODEL, version: '3' };
  expect(bodies).toEqual([
    { ...base, action: 'promote', share: null, why: 'the reds were mislabelled', force: true },
    { ...base, action: 'canary', share: 0.1, why: 'by hand', force: true },
  ]);
});

test.describe('where keys are asked for', () => {
  test.use({ baseURL: process.env.VISIONLOOP_GUARDED_URL ?? '' });

  test('a key that may not change what serves is told so', async ({ page }) => {
    await page.addInitScript((key) => sessionStorage.setItem('visionloop.key', key), process.env.VISIONLOOP_KEY ?? '');
    await open(page);
    await page.getByRole('button', { name: 'Roll back…' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
    await expect(page.getByRole('alert')).toContainText('Your key does not allow this');
  });
});

test('axe finds nothing in "Models", and nothing is cut off', async ({ page }) => {
  for (const width of [1440, 320]) {
    await page.setViewportSize({ width, height: width === 320 ? 640 : 900 });
    await open(page);
    await page.getByText('What was checked').first().click();
    await page.getByRole('button', { name: 'Report and model card Version 3' }).click();
    for (const part of ['Numbers', 'Right and wrong', 'Worst images', 'Model card']) {
      await page.getByRole('radio', { name: part }).click();
      if (part === 'Worst images') await expect(page.getByRole('img').first()).toBeVisible();
      const name = `models-${part.toLowerCase().replaceAll(' ', '-')}-${width}`;
      expect(await violationsDayAndNight(page, name)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    }
  }
});
