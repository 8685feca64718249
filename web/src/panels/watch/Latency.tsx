import { useTranslation } from 'react-i18next';

import { ChartCard, DataTable } from './ChartCard';
import { Legend, TimeLines } from './charts';
import { useFormats } from './format';
import type { Mark } from './rows';
import { useChartMarks } from './Traffic';
import { newestFirst, type TimeAxis } from './time';
import styles from './Watch.module.css';
import type { Bucket, ServiceCounts, Summary } from './watch';

const PERCENTS = ['p50', 'p95', 'p99'] as const;
type Percent = (typeof PERCENTS)[number];
const COLORS: Readonly<Record<Percent, string>> = { p50: 'var(--series-1)', p95: 'var(--series-2)', p99: 'var(--series-4)' };

interface LatencyProps {
  summary: Summary;
  /** Null where it may not be seen. */
  service: ServiceCounts | null;
  axis: TimeAxis;
  marks: readonly Mark[];
}

/** How long answers took, and where the time went. */
export function Latency({ summary, service, axis, marks }: LatencyProps) {
  const { t } = useTranslation();
  const format = useFormats();
  const series = PERCENTS.map((key) => ({ key, name: t(`watch.latency.${key}`), color: COLORS[key] }));
  const value = (row: Bucket, key: string) => row.latency_ms?.[key as Percent] ?? null;
  const text = (row: Bucket, key: string) => {
    const found = value(row, key);
    return found === null ? null : format.milliseconds(found);
  };
  const stages = service?.stages.filter(({ task }) => task === summary.task) ?? [];
  return (
    <ChartCard
      id="watch-latency"
      title={t('watch.latency.title')}
      unit={t('watch.latency.unit')}
      empty={summary.latency_ms === null ? t('watch.traffic.empty') : null}
      table={{
        columns: [t('watch.time'), ...series.map(({ name }) => name)],
        isOverTime: true,
        rows: newestFirst(summary.buckets, (row) => row.latency_ms === null, axis, (row) =>
          PERCENTS.map((key) => text(row, key) ?? '–'),
        ),
      }}
      foot={
        <>
          <Legend series={series} />
          {stages.length > 0 && (
            <details className={styles.more}>
              <summary>{t('watch.latency.stages')}</summary>
              <DataTable
                title={t('watch.latency.stages')}
                columns={[t('watch.latency.stage'), ...series.map(({ name }) => name)]}
                rows={stages.map((stage) => [
                  t(`watch.latency.of.${stage.stage}`, { defaultValue: stage.stage }),
                  ...PERCENTS.map((key) => format.milliseconds(stage[key])),
                ])}
              />
              {service?.since && <p className={styles.note}>{t('watch.since_start', { when: format.moment(service.since) })}</p>}
            </details>
          )}
        </>
      }
    >
      <TimeLines
        title={t('watch.latency.title')}
        rows={summary.buckets}
        series={series}
        numberOf={value}
        textOf={text}
        axis={axis}
        yTick={(milliseconds) => format.short(milliseconds)}
        marks={useChartMarks(marks)}
      />
    </ChartCard>
  );
}
