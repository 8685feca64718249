import type { Page } from '@playwright/test';

import { expect, picture, test, violations } from './fixtures';

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
  await expect(newest).toContainText('accuracy 0.93 95% interval 0.9 to 0.95');
  await newest.getByText('Gate:').click();
  await expect(newest).toContainText('did not hold: red, the class that fares worst, loses 0.110 of recall');
  const table = page.getByRole('table');
  await expect(table.getByRole('row').nth(1)).toHaveText(/^accuracy\s*0\.9195%.*0\.9395%.*\+0\.02$/s);
  await page.getByRole('checkbox', { name: 'Compare version 2' }).check();
  await expect(page.getByRole('heading', { name: 'Version 3 and version 2' })).toBeVisible();
  const history = page.getByRole('region', { name: 'Changes of the champion' }).getByRole('listitem');
  await expect(history).toHaveCount(3);
  await expect(history.first()).toContainText(`${MODEL}: back to version 1`);
  await expect(history.first()).toContainText('misses reds at night');
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
  await expect(dialog).toContainText('The gate did not approve it: refuse:');
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
  await dialog.getByRole('button', { name: 'Start' }).click();
  await expect(dialog).toHaveCount(0);
  const base = { model: MODEL, version: '3' };
  expect(bodies).toEqual([
    { ...base, action: 'promote', share: null, why: 'the reds were mislabelled', force: true },
    { ...base, action: 'canary', share: 0.1, why: 'by hand', force: false },
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
  for (const [colorScheme, width] of [['light', 1440], ['dark', 1440], ['light', 320]] as const) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: width === 320 ? 640 : 900 });
    await open(page);
    await page.getByText('Gate:').first().click();
    await picture(page, `models-${colorScheme}-${width}`);
    expect(await violations(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  }
});
