import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { Button } from '../../components/Button';
import { metricText } from './history';
import { Bounds, metricWord } from './Metric';
import styles from './Models.module.css';
import { mainMetric, metricNames, weakestFirst, type Report } from './report';
import own from './Report.module.css';
import { ScrollTable } from './ScrollTable';

const FEW = 20;

/** How the model fares with each class, the weakest first. */
export function ClassTable({ report }: { report: Report }) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const [isWhole, setWhole] = useState(false);
  const names = metricNames(report);
  const main = mainMetric(names);
  const classes = weakestFirst(report.classes, main);
  return (
    <section className={own.part}>
      <h5>{t('models.report.classes')}</h5>
      <p className={styles.note}>{t('models.report.classes_about', { metric: metricWord(t, main) })} {t('models.bounds')}</p>
      <ScrollTable label={t('models.report.classes')}>
        <thead>
          <tr>
            <th scope="col">{t('models.report.class')}</th>
            <th scope="col" className={styles.number}>{t('models.report.support')}</th>
            {names.map((name) => (
              <th key={name} scope="col" className={styles.number} title={name}>
                {metricWord(t, name)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {classes.slice(0, isWhole ? undefined : FEW).map(({ class: name, support, metrics, intervals }) => (
            <tr key={name}>
              <th scope="row" className={own.name}>
                {name}
              </th>
              <td className={styles.number}>{metricText('num_', support, language)}</td>
              {names.map((metric) => (
                <td key={metric} className={styles.number}>
                  {metricText(metric, metrics[metric] ?? null, language)}
                  <Bounds name={metric} interval={intervals[metric]} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </ScrollTable>
      {classes.length > FEW && (
        <div>
          <Button small onPress={() => setWhole(!isWhole)}>
            {isWhole ? t('try.less') : t('try.more', { count: classes.length })}
          </Button>
        </div>
      )}
      {report.classes_left_out > 0 && (
        <p className={styles.note}>{t('models.report.left_out', { count: report.classes_left_out })}</p>
      )}
    </section>
  );
}
