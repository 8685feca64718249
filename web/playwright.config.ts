import { defineConfig } from '@playwright/test';

// tests/web/test_browser.py starts the service and says where it is; it also finds Chromium.
const url = process.env.VISIONLOOP_URL;
if (!url) throw new Error('VISIONLOOP_URL is not set: run `pytest tests/web/test_browser.py`');

export default defineConfig({
  testDir: 'e2e',
  outputDir: process.env.PLAYWRIGHT_OUTPUT ?? 'test-results',
  reporter: [['line']],
  workers: 1,
  // What passes only on the second try is printed as flaky, to be looked into; a busy machine does not stop the rest.
  retries: 1,
  // A machine with other work may take its time; what is measured has limits of its own.
  timeout: 120_000,
  expect: { timeout: 30_000 },
  use: {
    baseURL: url,
    locale: 'en',
    colorScheme: 'light',
    viewport: { width: 1440, height: 900 },
    // No traces: making one fetches the pictures shown, which the content-security policy refuses.
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--no-first-run',
        '--use-fake-device-for-media-stream=device-count=2',
        '--use-fake-ui-for-media-stream',
      ],
    },
  },
});
