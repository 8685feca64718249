import i18next from 'i18next';
import { beforeAll, describe, expect, it } from 'vitest';

import { chooseLanguage, startMessages } from './messages';
import { numbers } from './numbers';

describe('numbers', () => {
  it('have the points and commas of the language', () => {
    const german = numbers('de');
    expect([german.count(1234.4), german.number(0.01234), german.tenths(1.25), german.fixed(0.5, 4)]).toEqual([
      '1.234',
      '0,0123',
      '1,3',
      '0,5000',
    ]);
    expect([german.percent(0.126), german.finePercent(0.5), german.finePercent(0.126), german.evenPercent(0.5)]).toEqual([
      '13\u00a0%',
      '50\u00a0%',
      '12,6\u00a0%',
      '50,0\u00a0%',
    ]);
    expect([german.milliseconds(3.14159), german.milliseconds(1234.5)]).toEqual(['3,14 ms', '1.235 ms']);
    expect([german.bytes(12_340_000), numbers('en').bytes(12), numbers('en').bytes(2_340_000)]).toEqual([
      '12,3 MB',
      '1 kB',
      '2.3 MB',
    ]);
  });

  it('of seconds fit the time', () => {
    expect([1, 89.2, 150, 9_000].map(numbers('en').duration)).toEqual(['1 second', '90 seconds', '3 minutes', '2.5 hours']);
    expect(numbers('de').duration(9_000)).toBe('2,5 Stunden');
  });

  describe('in messages', () => {
    beforeAll(startMessages);

    it('are written as the language writes them, and text stays as it is', async () => {
      expect(i18next.t('many.images', { count: 12_345 })).toBe('12,345 images');
      await chooseLanguage('de');
      expect(i18next.t('many.images', { count: 12_345 })).toBe('12.345 Bilder');
      expect(i18next.t('many.rate', { rate: 2.5 })).toContain('2,5');
      expect(i18next.t('models.version', { version: '12345' })).toContain('12345');
    });
  });
});
