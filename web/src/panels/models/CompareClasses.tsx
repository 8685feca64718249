import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ApiProblem, asProblem } from '../../api/problem';
import { Button } from '../../components/Button';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Skeleton } from '../../components/Skeleton';
import { differenceText, metricText, type Version } from './history';
import { metricWord } from './Metric';
import styles from './Models.module.css';
import { classDifferences, mainMetric, metricNames, useReport } from './report';
import own from './Report.module.css';
import { ScrollTable } from './ScrollTable';

const FEW = 10;

/** Class by class, what the second version wins and loses. */
export function CompareClasses({ a, b }: { a: Version; b: Version }) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const [before, after] = [useReport(a.report ?? null), useReport(b.report ?? null)];
  const [choice, setChoice] = useState<string | null>(null);
  const [isWhole, setWhole] = useState(false);
  const problem = before.error ?? after.error;
  const isGone = problem instanceof ApiProblem && problem.status === 404;
  if (!a.report || !b.report || isGone) return <p className={styles.note}>{t('models.report.compare_missing')}</p>;
  if (problem) {
    return (
      <ProblemMessage problem={asProblem(problem)}>
        <div>
          <Button small icon="retry" onPress={() => void (before.error ? before.refetch() : after.refetch())}>
            {t('app.retry')}
          </Button>
        </div>
      </ProblemMessage>
    );
  }
  if (!before.data || !after.data) return <Skeleton height={240} />;
  const names = metricNames(before.data, after.data);
  const metric = choice !== null && names.includes(choice) ? choice : mainMetric(names);
  const rows = classDifferences(before.data, after.data, metric);
  const sameImages = before.data.dataset_hash === after.data.dataset_hash && before.data.split === after.data.split;
  return (
    <section className={own.part}>
      <div className={own.head}>
        <h3>{t('models.report.compare')}</h3>
        <label className={own.select}>
          <span>{t('models.metric')}</span>
          <select value={metric} onChange={({ target }) => setChoice(target.value)}>
            {names.map((name) => (
              <option key={name} value={name}>
                {metricWord(t, name)}
              </option>
            ))}
          </select>
        </label>
      </div>
      {!sameImages && <p className={styles.warning}>{t('models.report.other_images')}</p>}
      <ScrollTable label={t('models.report.compare')}>
        <thead>
          <tr>
            <th scope="col">{t('models.report.class')}</th>
            <th scope="col" className={styles.number}>{t('models.report.support')}</th>
            <th scope="col" className={styles.number}>{t('models.version', { version: a.version })}</th>
            <th scope="col" className={styles.number}>{t('models.version', { version: b.version })}</th>
            <th scope="col" className={styles.number}>{t('models.difference')}</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, isWhole ? undefined : FEW).map((row) => (
            <tr key={row.name}>
              <th scope="row" className={own.name}>
                {row.name}
              </th>
              <td className={styles.number}>{metricText('num_', row.support, language)}</td>
              <td className={styles.number}>{metricText(metric, row.a, language)}</td>
              <td className={styles.number}>{metricText(metric, row.b, language)}</td>
              <td className={styles.number} data-sign={row.difference === null ? undefined : Math.sign(row.difference)}>
                {differenceText(metric, row.difference, language)}
              </td>
            </tr>
          ))}
        </tbody>
      </ScrollTable>
      {rows.length > FEW && (
        <div>
          <Button small onPress={() => setWhole(!isWhole)}>
            {isWhole ? t('try.less') : t('try.more', { count: rows.length })}
          </Button>
        </div>
      )}
    </section>
  );
}
