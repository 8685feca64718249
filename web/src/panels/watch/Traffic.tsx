import { useTranslation } from 'react-i18next';

import { areaColor } from '../../lib/colors';
import { ChartCard } from './ChartCard';
import { Legend, TimeBars, seriesColor, type ChartMark } from './charts';
import { useFormats } from './format';
import { classRows, NOTHING, OTHERS, sorted, versionRows, type Mark, type SharesRow } from './rows';
import { newestFirst, type TimeAxis } from './time';
import styles from './Watch.module.css';
import type { Summary } from './watch';

interface OverTimeProps {
  summary: Summary;
  axis: TimeAxis;
  marks: readonly Mark[];
}

/** Marks of promotions and rollbacks, for charts. */
export function useChartMarks(marks: readonly Mark[]): ChartMark[] {
  const { t } = useTranslation();
  return marks.map(({ start, change }) => ({
    start,
    label: t(`watch.mark.${change.action}`, { version: change.to_version }),
    tone: change.action === 'promote' ? 'good' : 'bad',
  }));
}

const isEmpty = ({ total }: SharesRow) => total === 0;

/** How much was answered, by which version. */
export function Traffic({ summary, axis, marks }: OverTimeProps) {
  const { t } = useTranslation();
  const format = useFormats();
  const rows = versionRows(summary);
  const series = sorted(summary.versions).map((key, index) => ({
    key,
    name: t('watch.version', { version: key }),
    color: seriesColor(index),
  }));
  const count = (row: SharesRow, key: string) => row.counts[key] ?? 0;
  return (
    <ChartCard
      id="watch-traffic"
      title={t('watch.traffic.title')}
      unit={t('watch.traffic.unit', { bucket: t(`watch.bucket.${summary.range}`) })}
      empty={summary.answers === 0 ? t('watch.traffic.empty') : null}
      table={{
        columns: [t('watch.time'), t('watch.traffic.all'), ...series.map(({ name }) => name)],
        isOverTime: true,
        rows: newestFirst(rows, isEmpty, axis, (row) => [
          format.count(row.total),
          ...series.map(({ key }) => format.count(count(row, key))),
        ]),
      }}
      foot={
        <>
          <Legend series={series} />
          <Changes marks={marks} />
        </>
      }
    >
      <TimeBars
        title={t('watch.traffic.title')}
        rows={rows}
        series={series}
        numberOf={count}
        textOf={(row, key) => (count(row, key) ? format.count(count(row, key)) : null)}
        axis={axis}
        yTick={format.short}
        marks={useChartMarks(marks)}
      />
    </ChartCard>
  );
}

function Changes({ marks }: { marks: readonly Mark[] }) {
  const { t } = useTranslation();
  const format = useFormats();
  if (marks.length === 0) return null;
  return (
    <ul className={styles.changes} aria-label={t('watch.changes')}>
      {marks.map(({ change }) => (
        <li key={`${change.when} ${change.to_version}`} data-action={change.action}>
          <strong>{t(`watch.changed.${change.action}`, { version: change.to_version })}</strong>{' '}
          <time dateTime={change.when}>{format.moment(change.when)}</time>
        </li>
      ))}
    </ul>
  );
}

/** Which classes were answered. */
export function ClassMix({ summary, axis, idOf }: Omit<OverTimeProps, 'marks'> & { idOf: (name: string) => number }) {
  const { t } = useTranslation();
  const format = useFormats();
  const { names, rows } = classRows(summary);
  const own: Readonly<Record<string, string>> = { [OTHERS]: t('watch.classes.others'), [NOTHING]: t('watch.classes.nothing') };
  const series = names.map((key) => ({
    key,
    name: own[key] ?? key,
    color: key === OTHERS ? 'var(--series-other)' : key === NOTHING ? 'var(--series-none)' : areaColor(idOf(key)),
  }));
  const text = (row: SharesRow, key: string) => {
    const count = row.counts[key] ?? 0;
    return row.total && count ? `${format.percent(count / row.total)} (${format.count(count)})` : null;
  };
  return (
    <ChartCard
      title={t('watch.classes.title')}
      unit={t('watch.classes.unit', { bucket: t(`watch.bucket.${summary.range}`) })}
      empty={summary.answers === 0 ? t('watch.traffic.empty') : null}
      table={{
        columns: [t('watch.time'), ...series.map(({ name }) => name)],
        isOverTime: true,
        rows: newestFirst(rows, isEmpty, axis, (row) => series.map(({ key }) => text(row, key) ?? '–')),
      }}
      foot={<Legend series={series} />}
    >
      <TimeBars
        shares
        title={t('watch.classes.title')}
        rows={rows}
        series={series}
        numberOf={(row, key) => row.counts[key] ?? 0}
        textOf={text}
        axis={axis}
        yTick={format.roughly}
      />
    </ChartCard>
  );
}
