import { useTranslation } from 'react-i18next';

import { Card } from '../../components/Card';
import { CompareClasses } from './CompareClasses';
import { compared, numberText, type Version } from './history';
import styles from './Models.module.css';
import { ScrollTable } from './ScrollTable';

/** The numbers of two versions side by side. */
export function Compare({ a, b }: { a: Version; b: Version }) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const cell = (value: number | null, interval: readonly [number, number] | null) => (
    <td>
      <span className={styles.number}>{numberText(value, language)}</span>
      {interval && (
        <span className={styles.note}>
          {t('models.interval', { low: numberText(interval[0], language), high: numberText(interval[1], language) })}
        </span>
      )}
    </td>
  );
  const signed = new Intl.NumberFormat(language, { maximumFractionDigits: 4, signDisplay: 'exceptZero' });
  return (
    <Card title={t('models.compare_title', { a: a.version, b: b.version })}>
      <ScrollTable label={t('models.compare')}>
        <thead>
          <tr>
            <th scope="col">{t('models.metric')}</th>
            <th scope="col">{t('models.version', { version: a.version })}</th>
            <th scope="col">{t('models.version', { version: b.version })}</th>
            <th scope="col">{t('models.difference')}</th>
          </tr>
        </thead>
        <tbody>
          {compared(a, b).map((row) => (
            <tr key={row.name}>
              <th scope="row">{row.name}</th>
              {cell(row.a, row.intervalA)}
              {cell(row.b, row.intervalB)}
              <td className={styles.number}>{row.difference === null ? '–' : signed.format(row.difference)}</td>
            </tr>
          ))}
        </tbody>
      </ScrollTable>
      <CompareClasses key={`${a.version} ${b.version}`} a={a} b={b} />
    </Card>
  );
}
