import type { Page } from '@playwright/test';

import { expect, picture, png, test, violations, violationsDayAndNight } from './fixtures';

// tests/web/watched.py has what was answered, said, checked and noticed in the six days before.
const card = (page: Page, name: string) => page.getByRole('region', { name, exact: true });

async function open(page: Page, range = 'Week') {
  await page.goto('/watch');
  await page.getByRole('radio', { name: range, exact: true }).click();
  await expect(card(page, 'How much was answered')).toBeVisible();
}

test('a week at a glance: traffic by version, with promotion and rollback', async ({ page }) => {
  await open(page);
  const tiles = page.getByRole('list', { name: 'At a glance' }).getByRole('listitem');
  await expect(tiles.filter({ hasText: 'Right, by feedback' })).toContainText(/\d\d(\.\d)?% to \d\d(\.\d)?%, 2\d\d judged/);
  await expect(tiles.filter({ hasText: 'Right, estimated' })).toContainText('withdrawn');
  await expect(tiles.filter({ hasText: /^Drift/ })).toContainText('critical');
  await expect(tiles.filter({ hasText: 'Alerts firing' })).toContainText('1');
  const traffic = card(page, 'How much was answered');
  await expect(traffic.getByText('Images in each 3 hours, by model version')).toBeVisible();
  const changes = traffic.getByRole('list', { name: 'Changes of the champion in this time' }).getByRole('listitem');
  await expect(changes).toHaveCount(3);
  await expect(changes.nth(1)).toContainText('version 2 promoted');
  await expect(changes.nth(2)).toContainText('back to version 1');
  await expect(traffic.locator('.recharts-reference-line')).toHaveCount(3);
});

test('each chart is a table too, and says its values to the pointer and to keys', async ({ page }) => {
  await open(page);
  const traffic = card(page, 'How much was answered');
  const chart = traffic.locator('svg.recharts-surface').first();
  const box = await chart.boundingBox();
  if (!box) throw new Error('no chart');
  await page.mouse.move(box.x + box.width * 0.7, box.y + box.height / 2);
  await expect(traffic.getByText(/–/).and(page.locator('p'))).toBeVisible();
  await expect(traffic.locator('.recharts-tooltip-wrapper').getByText('Version 1')).toBeVisible();
  await picture(page, 'watch-tooltip');
  await page.mouse.move(0, 0);
  await chart.focus();
  await page.keyboard.press('ArrowRight');
  await expect(traffic.locator('.recharts-tooltip-wrapper').locator('p').first()).toBeVisible();
  const titles = ['How much was answered', 'How long answers took', 'How often answers were right', 'What was answered', 'How sure the answers were'];
  for (const title of titles) {
    await card(page, title).getByRole('button', { name: 'As table' }).click();
    await expect(card(page, title).getByRole('table').getByRole('row').nth(5)).toBeVisible();
  }
  const rows = traffic.getByRole('table').getByRole('row');
  // Newest first, and what is empty in one line: six days of the week have answers.
  await expect(rows.last().locator('td').first()).toHaveText('0');
  expect(await rows.count()).toBeLessThan(57);
  const counts = await rows.locator('td:nth-of-type(1)').allTextContents();
  expect(counts.reduce((sum, text) => sum + Number(text.replace(/\D/g, '')), 0)).toBeGreaterThanOrEqual(576);
  expect(await violations(page)).toEqual([]);
});

test('drift: windows, distributions, classes, and the pictures behind the alarm', async ({ page }) => {
  await page.route('**/v1/monitoring/drift?*', async (route) => {
    const response = await route.fetch();
    const answer = (await response.json()) as { report: { newest: { has_image: boolean }[] } };
    answer.report.newest[0] = { ...answer.report.newest[0], has_image: true };
    await route.fulfill({ response, json: answer });
  });
  await page.route('**/v1/predictions/*/image?*', (route) => route.fulfill({ contentType: 'image/png', body: png(48, 48).buffer }));
  await open(page);
  const drift = card(page, 'Has what is sent changed?');
  await expect(drift).toContainText('2 of the latest 3 windows drifted.');
  await expect(drift).toContainText('37 of 200 images');
  await expect(drift.getByRole('img', { name: 'Distribution of brightness: median 0.46 share of full scale in the reference, 0.22' })).toBeVisible();
  await expect(drift).toContainText('p < 10⁻⁹');
  await expect(drift).toContainText('Not tested: width (always the same).');
  await drift.getByText('1 test without difference').click();
  await expect(drift.getByRole('img', { name: 'Distribution of sharpness' })).toBeVisible();
  await drift.getByText('All tests as table').click();
  await expect(drift.getByRole('row', { name: /brightness.*different/ })).toContainText('D 0.41');
  const sent = drift.getByRole('img', { name: 'Picture that looks new, number 1' });
  await expect(sent).toHaveAttribute('src', /^blob:/);
  await expect(drift.getByRole('img', { name: 'The picture was not kept' })).toHaveCount(2);
  await expect(drift.getByRole('img', { name: 'Reference picture bb', exact: true }).first()).toHaveAttribute('src', /^data:image\/jpeg/);
  await expect(drift.getByRole('img', { name: 'Reference picture gone is not here' }).first()).toBeVisible();
  await sent.scrollIntoViewIfNeeded();
  await picture(page, 'watch-drift');
});

test('alerts: what fires, since when, silenced, what to do', async ({ page }) => {
  await open(page);
  const alerts = card(page, 'Alerts');
  const drift = alerts.getByRole('listitem').filter({ hasText: 'Drift · Classification' });
  await expect(drift).toContainText('critical');
  await expect(drift).toContainText('silenced until');
  await expect(drift).toContainText('the camera is being replaced');
  await expect(drift).toContainText('To do: Look at the pictures below');
  await expect(drift).toContainText('runbook: docs/alerts.md#drift');
  await expect(alerts.getByRole('listitem').filter({ hasText: 'Latency' })).toContainText('pending');
  await alerts.getByText('1 resolved').click();
  await expect(alerts.getByRole('listitem').filter({ hasText: 'Disk' })).toContainText('resolved');
});

test('refusals are counted over time and by reason, and two versions compared', async ({ page }) => {
  await open(page);
  const errors = card(page, 'What was refused or failed');
  await expect(errors.getByRole('application', { name: 'What was refused or failed' })).toBeVisible();
  await expect(errors).toContainText(/Failed \(5xx\)\s*14 \(0\.\d%\)/);
  await expect(errors.getByRole('listitem').filter({ hasText: 'image_unsupported_format' })).toBeVisible();
  const compared = card(page, 'Two versions compared');
  await expect(compared.getByRole('row', { name: 'Of these right' })).toContainText('points');
  await expect(compared).toContainText('Both answered the same traffic');
});

test('it renews itself while it is in sight, and only then', async ({ page }) => {
  await page.clock.install();
  let asked = 0;
  page.on('request', (found) => {
    if (found.url().includes('/v1/monitoring/summary')) asked += 1;
  });
  await page.goto('/watch');
  await expect(card(page, 'How much was answered')).toBeVisible();
  const before = asked;
  await page.clock.runFor(31_000);
  await expect.poll(() => asked).toBeGreaterThan(before);
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await page.clock.runFor(1_000);
  const hidden = asked;
  await page.clock.runFor(120_000);
  expect(asked).toBe(hidden);
});

test.describe('where keys are asked for, and nothing happened yet', () => {
  test.use({ baseURL: process.env.VISIONLOOP_GUARDED_URL ?? '' });

  test('each part says what is needed', async ({ page }) => {
    // Other tests may have asked this service before.
    await page.route('**/v1/monitoring/summary?*', async (route) => {
      const response = await route.fetch();
      const answer = (await response.json()) as { buckets: object[]; confidence: { counts: number[] } };
      const none = { answers: 0, found_nothing: 0, latency_ms: null, accuracy: null };
      const bucket = { ...none, by_version: {}, by_class: {}, other_classes: 0 };
      const json = {
        ...answer,
        ...none,
        versions: [],
        classes: [],
        confidence: { ...answer.confidence, counts: answer.confidence.counts.map(() => 0) },
        buckets: answer.buckets.map((found) => ({ ...found, ...bucket })),
      };
      await route.fulfill({ response, json });
    });
    await page.addInitScript((key) => sessionStorage.setItem('visionloop.key', key), process.env.VISIONLOOP_KEY ?? '');
    await page.goto('/watch');
    await expect(card(page, 'Has what is sent changed?')).toContainText('Run visionloop drift');
    await page.getByRole('radio', { name: 'Detection' }).click();
    await expect(card(page, 'How long answers took')).toContainText('Nothing was answered in this time');
    await expect(card(page, 'How often answers were right')).toContainText('Judge some in "Correct"');
    await expect(card(page, 'Alerts')).toContainText('needs a key of the role admin');
    await expect(card(page, 'What was refused or failed')).toContainText('needs a key of the role admin');
    await expect(card(page, 'Two versions compared')).toContainText('Start a canary');
    await picture(page, 'watch-empty');
    expect(await violations(page)).toEqual([]);
  });
});

test('axe finds nothing in "Watch", and nothing is cut off', async ({ page }) => {
  for (const width of [1440, 320]) {
    await page.setViewportSize({ width, height: width === 320 ? 640 : 900 });
    await open(page);
    await expect(card(page, 'Two versions compared')).toBeVisible();
    expect(await violationsDayAndNight(page, `watch-${width}`)).toEqual([]);
    // What is cut off, by name: a number alone says little.
    const cut = await page.evaluate(() =>
      document.documentElement.scrollWidth <= innerWidth
        ? []
        : [...document.querySelectorAll('main *')]
            .filter((one) => one.getBoundingClientRect().right > innerWidth && !one.closest('[role=group]'))
            .map((one) => `${one.tagName} ${one.getAttribute('class') ?? ''} ${one.textContent.slice(0, 40)}`),
    );
    expect(cut).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  }
});
