import { expect, picture, test } from './fixtures';

// The page as people will see it, for README and docs; meant for a service with models that know digits:
//   VISIONLOOP_URL=http://127.0.0.1:3000 SCREENSHOTS=build/tour python -m pipelines.web npm run e2e -- tour.spec.ts
const looks = [
  { name: 'light', colorScheme: 'light', viewport: { width: 1440, height: 900 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1440, height: 900 } },
  { name: 'wide', colorScheme: 'light', viewport: { width: 2560, height: 1440 } },
  { name: 'tablet', colorScheme: 'light', viewport: { width: 820, height: 1180 } },
  { name: 'phone', colorScheme: 'dark', viewport: { width: 390, height: 844 } },
] as const;

for (const { name, colorScheme, viewport } of looks) {
  test.describe(name, () => {
    test.use({ colorScheme, viewport });

    test('a tour of "Try it"', async ({ page }) => {
      await page.goto('/');
      for (const sample of ['A handwritten digit', 'A scene of digits 1', 'A scene of digits 2']) {
        await page.getByRole('button', { name: sample }).click();
        await expect(page.getByRole('heading', { name: 'Detection' })).toBeVisible();
        await expect(page.getByRole('heading', { name: 'Classification' })).toBeVisible();
        await page.mouse.move(0, 0);
        await picture(page, `try-${sample.toLowerCase().replaceAll(' ', '-')}-${name}`);
        if (sample.endsWith('digit')) {
          await page.getByRole('button', { name: 'Why? (Classification)' }).click();
          await expect(page.getByRole('slider', { name: 'Strength of the overlay' })).toBeVisible();
          await picture(page, `try-why-${name}`);
        }
        await page.getByRole('button', { name: 'Remove all' }).click();
      }
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    });
  });
}
