import { useTranslation } from 'react-i18next';

import { Card } from '../../components/Card';
import { CompareClasses } from './CompareClasses';
import { compared, differenceText, metricText, type Version } from './history';
import { Bounds, MetricName } from './Metric';
import styles from './Models.module.css';
import { ScrollTable } from './ScrollTable';

/** The numbers of two versions side by side. */
export function Compare({ a, b }: { a: Version; b: Version }) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const cell = (name: string, value: number | null, interval: readonly [number, number] | null) => (
    <td className={styles.number}>
      {metricText(name, value, language)}
      <Bounds name={name} interval={interval} />
    </td>
  );
  return (
    <Card title={t('models.compare_title', { a: a.version, b: b.version })}>
      <p className={styles.note}>{t('models.bounds')}</p>
      <ScrollTable label={t('models.compare')}>
        <thead>
          <tr>
            <th scope="col">{t('models.metric')}</th>
            <th scope="col" className={styles.number}>{t('models.version', { version: a.version })}</th>
            <th scope="col" className={styles.number}>{t('models.version', { version: b.version })}</th>
            <th scope="col" className={styles.number}>{t('models.difference')}</th>
          </tr>
        </thead>
        <tbody>
          {compared(a, b).map((row) => (
            <tr key={row.name}>
              <th scope="row">
                <MetricName name={row.name} />
              </th>
              {cell(row.name, row.a, row.intervalA)}
              {cell(row.name, row.b, row.intervalB)}
              <td className={styles.number}>{differenceText(row.name, row.difference, language)}</td>
            </tr>
          ))}
        </tbody>
      </ScrollTable>
      <CompareClasses key={`${a.version} ${b.version}`} a={a} b={b} />
    </Card>
  );
}
