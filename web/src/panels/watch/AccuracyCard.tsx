import { useTranslation } from 'react-i18next';

import { ChartCard } from './ChartCard';
import { Legend, TimeIntervals } from './charts';
import { useFormats } from './format';
import { accuracyRows, bounds, type AccuracyRow, type Mark } from './rows';
import { useChartMarks } from './Traffic';
import { newestFirst, type TimeAxis } from './time';
import styles from './Watch.module.css';
import type { DriftReport, Summary } from './watch';

interface AccuracyProps {
  summary: Summary;
  report: DriftReport | null;
  axis: TimeAxis;
  marks: readonly Mark[];
}

/** How often answers were right: what people said, and what the model's confidence suggests. */
export function AccuracyCard({ summary, report, axis, marks }: AccuracyProps) {
  const { t } = useTranslation();
  const format = useFormats();
  const chartMarks = useChartMarks(marks);
  const rows = accuracyRows(summary, report);
  const boundsOf = (row: AccuracyRow, key: string) => bounds(key === 'feedback' ? row.feedback : row.estimate);
  const hasFeedback = rows.some((row) => row.feedback !== null);
  const hasEstimate = rows.some((row) => bounds(row.estimate) !== null);
  const series = [
    { key: 'feedback', name: t('watch.accuracy.feedback'), color: 'var(--series-1)' },
    { key: 'estimate', name: t('watch.accuracy.estimate'), color: 'var(--series-4)', dash: '5 4' },
  ].filter(({ key }) => (key === 'feedback' ? hasFeedback : hasEstimate));
  const text = (row: AccuracyRow, key: string) => {
    const found = boundsOf(row, key);
    if (found === null) return key === 'estimate' && row.estimate?.status === 'not_valid' ? t('watch.accuracy.withdrawn') : null;
    const interval = t('watch.interval', { lower: format.percent(found.lower), upper: format.percent(found.upper) });
    const judged = key === 'feedback' && row.feedback ? `, ${t('watch.accuracy.judged', { count: row.feedback.judged })}` : '';
    return `${format.percent(found.value)} (${interval}${judged})`;
  };
  const lowest = Math.min(1, ...rows.flatMap((row) => series.map(({ key }) => boundsOf(row, key)?.lower ?? 1)));
  const whole = summary.accuracy;
  const withdrawn = report?.accuracy.status === 'not_valid';
  const none = withdrawn ? 'empty_withdrawn' : report?.accuracy.status === 'unavailable' ? 'empty_unavailable' : 'empty';
  return (
    <ChartCard
      id="watch-accuracy"
      title={t('watch.accuracy.title')}
      unit={t('watch.accuracy.unit')}
      empty={series.length === 0 ? t(`watch.accuracy.${none}`) : null}
      table={{
        columns: [t('watch.time'), t('watch.accuracy.feedback'), t('watch.accuracy.estimate')],
        isOverTime: true,
        rows: newestFirst(
          rows,
          (row) => text(row, 'feedback') === null && text(row, 'estimate') === null,
          axis,
          (row) => [text(row, 'feedback') ?? '–', text(row, 'estimate') ?? '–'],
        ),
      }}
      foot={
        <>
          <Legend series={series} />
          {whole && (
            <p className={styles.note}>
              {t(`watch.accuracy.basis.${whole.basis}`, {
                count: whole.judged,
                drawn: format.count(whole.drawn),
                judged: format.count(whole.judged),
                raw: format.percent(whole.uncorrected),
              })}
              {whole.disputed > 0 && ` ${t('watch.accuracy.disputed', { count: whole.disputed })}`}
            </p>
          )}
          {summary.held_back > 0 && (
            <p className={styles.note}>
              {t('watch.accuracy.held', { count: summary.held_back, number: format.count(summary.held_back) })}
            </p>
          )}
          {withdrawn && <p className={styles.warning}>{t('watch.accuracy.withdrawn_why')}</p>}
        </>
      }
    >
      <TimeIntervals
        title={t('watch.accuracy.title')}
        rows={rows}
        series={series}
        numberOf={(row, key) => boundsOf(row, key)?.value ?? null}
        boundsOf={(row, key) => {
          const found = boundsOf(row, key);
          return found && [found.lower, found.upper];
        }}
        textOf={text}
        axis={axis}
        yTick={format.roughly}
        domain={[Math.floor(lowest * 10) / 10, 1]}
        marks={chartMarks}
      />
    </ChartCard>
  );
}
