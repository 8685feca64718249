import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

import type { Page } from '@playwright/test';

import { expect, picture, png, test } from './fixtures';

const files = (page: Page) => page.getByTestId('files');
const alert = (page: Page) => page.getByRole('alert');

async function open(page: Page) {
  await page.goto('/');
  await expect(page.getByRole('heading', { name: 'Drop pictures here' })).toBeVisible();
}

async function throttle(page: Page, uploadThroughput: number) {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput,
  });
  return session;
}

const big = { name: 'big.png', mimeType: 'image/png', buffer: Buffer.concat([png().buffer, Buffer.alloc(3_000_000)]) };

const huge = { ...big, buffer: Buffer.concat([png().buffer, Buffer.alloc(40_000_000)]) };

/** Stands before the service, takes an upload slowly, and can cut every connection. */
async function cuttingProxy({ hostname, port }: URL) {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const service = connect(Number(port), hostname);
    for (const socket of [client, service]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
    }
    client.on('data', (bytes) => {
      service.write(bytes);
      client.pause();
      setTimeout(() => client.resume(), 20);
    });
    service.pipe(client);
    client.on('close', () => service.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    cut: () => sockets.forEach((socket) => socket.destroy()),
    close: () => {
      sockets.forEach((socket) => socket.destroy());
      server.close();
    },
  };
}

test('415: what is no image is refused with what to do', async ({ page }) => {
  await open(page);
  await files(page).setInputFiles({ name: 'notes.png', mimeType: 'image/png', buffer: Buffer.from('not an image') });
  await expect(alert(page)).toContainText('not an image in a format that the service reads');
  await expect(alert(page)).toContainText('Use JPEG, PNG, WebP or BMP');
  await alert(page).getByText('What the service says').click();
  await expect(alert(page)).toContainText('415 image_unsupported_format');
  await picture(page, 'error-415');
  await expect(alert(page).getByRole('button', { name: 'Try again' })).toHaveCount(0);
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Drop pictures here' })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Undo' })).toBeFocused();
});

test('413: what is too large is refused with what to do', async ({ page }) => {
  await open(page);
  await files(page).setInputFiles({ ...big, buffer: Buffer.concat([png().buffer, Buffer.alloc(11_000_000)]) });
  await expect(alert(page)).toContainText('This file has 11 MB; the service accepts 10 MB.');
  await alert(page).getByText('What the service says').click();
  await expect(alert(page)).toContainText('413');
});

test('a refused picture beside good ones does not hold them up', async ({ page }) => {
  await open(page);
  await files(page).setInputFiles([
    { name: 'bad.png', mimeType: 'image/png', buffer: Buffer.from('bad') },
    png(64, 48, 1),
    png(64, 48, 2),
  ]);
  const list = page.getByRole('list', { name: 'Pictures' });
  await expect(list.getByRole('button', { name: /, done$/ })).toHaveCount(2);
  await expect(list.getByRole('button', { name: 'bad.png, refused' })).toBeVisible();
});

test('without a connection it says so, and trying again works', async ({ page, context }) => {
  await open(page);
  await context.setOffline(true);
  await files(page).setInputFiles(png());
  await expect(alert(page)).toContainText('The service does not answer');
  await picture(page, 'error-offline');
  await context.setOffline(false);
  await alert(page).getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('heading', { name: 'Classification' })).toBeVisible();
});

test('a connection lost in mid-upload is told as such', async ({ page, baseURL }) => {
  const proxy = await cuttingProxy(new URL(baseURL ?? ''));
  await page.goto(proxy.url);
  await expect(page.getByRole('heading', { name: 'Drop pictures here' })).toBeVisible();
  await files(page).setInputFiles(huge);
  const bar = page.getByRole('progressbar', { name: 'Uploading' });
  await expect.poll(async () => Number(await bar.getAttribute('aria-valuenow'))).toBeGreaterThan(0.02);
  await picture(page, 'uploading');
  proxy.cut();
  await expect(alert(page)).toContainText('The connection was lost during the upload');
  await picture(page, 'error-lost');
  proxy.close();
});

test('an upload is cancelled, and sent again', async ({ page }) => {
  await open(page);
  const session = await throttle(page, 100_000);
  await files(page).setInputFiles({ ...big, name: 'slow.png' });
  await expect(page.getByRole('progressbar', { name: 'Uploading' })).toBeVisible();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(page.getByText('Cancelled')).toBeVisible();
  await session.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: -1,
  });
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('list', { name: 'Pictures' }).getByRole('button', { name: /done|refused/ })).toBeVisible();
});

test.describe('where keys are asked for', () => {
  test.use({ baseURL: process.env.VISIONLOOP_GUARDED_URL ?? '' });

  test('401: the page asks for a key, takes none but a good one, and keeps it for this tab only', async ({ page, context }) => {
    await page.goto('/');
    const dialog = page.getByRole('dialog');
    await expect(dialog).toContainText('The service asks for a key');
    await picture(page, 'key');
    await dialog.getByLabel('API key').fill('nonsense');
    await dialog.getByRole('button', { name: 'Use this key' }).click();
    await expect(dialog).toContainText('The service does not know this key');
    await dialog.getByLabel('API key').fill(process.env.VISIONLOOP_KEY ?? '');
    await page.keyboard.press('Enter');
    await expect(page.getByRole('heading', { name: 'Drop pictures here' })).toBeVisible();
    const stored = await page.evaluate(() => JSON.stringify([localStorage, document.cookie]));
    expect(stored).not.toContain(process.env.VISIONLOOP_KEY);
    const other = await context.newPage();
    await other.goto('/');
    await expect(other.getByRole('dialog')).toContainText('The service asks for a key');
    await page.keyboard.press('Escape');
  });

  test('429: too many at once, and when to try again', async ({ page }) => {
    await page.addInitScript((key) => sessionStorage.setItem('visionloop.key', key), process.env.VISIONLOOP_KEY ?? '');
    await open(page);
    // The guarded service lets through ten at once, and one a second.
    await files(page).setInputFiles(Array.from({ length: 24 }, (_, seed) => png(64, 48, seed)));
    const refused = page.getByRole('list', { name: 'Pictures' }).getByRole('button', { name: /refused/ });
    await expect(refused.first()).toBeVisible();
    await refused.first().click();
    await expect(alert(page)).toContainText('Too many requests in a short time');
    await expect(alert(page)).toContainText(/Try again after/);
    await picture(page, 'error-429');
  });
});

test.describe('a stale link, where keys are asked for', () => {
  test.use({ baseURL: process.env.VISIONLOOP_GUARDED_URL ?? '' });

  test('shows the page, which says that there is none, and asks for no key', async ({ page, request }) => {
    const answer = await page.goto('/nothing/at/all');
    expect(answer?.status()).toBe(404);
    await expect(page.getByRole('heading', { name: 'There is no such page' })).toBeVisible();
    await expect(page).toHaveTitle('There is no such page · visionloop');
    await expect(page.getByRole('dialog')).toHaveCount(0);
    for (const path of ['/v1/models', '/v1/nothing', '/metrics']) {
      expect((await request.get(path, { headers: { accept: 'text/html' } })).status(), path).toBe(401);
    }
  });
});

test('an address that is none says so, and leads on', async ({ page, request }) => {
  const answer = await page.goto('/nothing');
  expect(answer?.status()).toBe(404);
  await expect(page.getByRole('heading', { name: 'There is no such page' })).toBeVisible();
  await page.getByRole('link', { name: 'Many' }).click();
  await expect(page.getByRole('heading', { name: 'Many pictures' })).toBeVisible();
  const told = await request.get('/nothing', { headers: { accept: 'application/json' } });
  expect(((await told.json()) as { code: string }).code).toBe('no_such_route');
});
