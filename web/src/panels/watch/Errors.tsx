import { useTranslation } from 'react-i18next';

import { ChartCard, Nothing } from './ChartCard';
import { Legend, TimeBars, type ChartMark } from './charts';
import { useFormats } from './format';
import { newestFirst, type TimeAxis } from './time';
import styles from './Watch.module.css';
import type { EndingsBucket, Endings, ServiceCounts } from './watch';

const SERIES = ['failed', 'refused'] as const;
type Key = (typeof SERIES)[number];
const COLORS: Readonly<Record<Key, string>> = { failed: 'var(--danger)', refused: 'var(--warning)' };

interface ErrorsProps {
  endings: Endings;
  /** Null until it is known. */
  service: ServiceCounts | null;
  axis: TimeAxis;
  marks: readonly ChartMark[];
}

/** What was refused or failed, when, and why. */
export function Errors({ endings, service, axis, marks }: ErrorsProps) {
  const { t } = useTranslation();
  const format = useFormats();
  const { buckets, codes, requests, failed, refused, range } = endings;
  const series = SERIES.map((key) => ({ key, name: t(`watch.errors.${key}`), color: COLORS[key] }));
  const numberOf = (row: EndingsBucket, key: string) => row[key as Key];
  const share = (part: number, whole: number) => `${format.count(part)} (${format.percent(part / Math.max(1, whole))})`;
  const textOf = (row: EndingsBucket, key: string) => (row.requests > 0 ? share(row[key as Key], row.requests) : null);
  const dropped = service?.rows.dropped ?? 0;
  const nothing = failed + refused === 0;
  return (
    <ChartCard
      id="watch-errors"
      title={t('watch.errors.title')}
      unit={t('watch.errors.unit', { bucket: t(`watch.bucket.${range}`) })}
      empty={requests === 0 ? t('watch.errors.empty') : null}
      table={{
        columns: [t('watch.time'), t('watch.errors.requests'), ...series.map(({ name }) => name)],
        isOverTime: true,
        rows: newestFirst(buckets, (row) => row.requests === 0, axis, (row) => [
          format.count(row.requests),
          ...SERIES.map((key) => textOf(row, key) ?? '–'),
        ]),
      }}
      foot={
        <>
          {!nothing && <Legend series={series} />}
          <dl className={styles.facts}>
            <div>
              <dt>{t('watch.errors.requests')}</dt>
              <dd>{format.count(requests)}</dd>
            </div>
            <div data-tone={failed > 0 ? 'bad' : undefined}>
              <dt>{t('watch.errors.failed')}</dt>
              <dd>{share(failed, requests)}</dd>
            </div>
            <div>
              <dt>{t('watch.errors.refused')}</dt>
              <dd>{share(refused, requests)}</dd>
            </div>
            {dropped > 0 && (
              <div data-tone="bad">
                <dt>{t('watch.errors.dropped')}</dt>
                <dd>{format.count(dropped)}</dd>
              </div>
            )}
          </dl>
          <Reasons codes={codes} />
        </>
      }
    >
      {nothing ? (
        <Nothing icon="check" text={t('watch.errors.none')} />
      ) : (
        <TimeBars
          title={t('watch.errors.title')}
          rows={buckets}
          series={series}
          numberOf={numberOf}
          textOf={textOf}
          axis={axis}
          yTick={format.short}
          marks={marks}
        />
      )}
    </ChartCard>
  );
}

function Reasons({ codes }: Pick<Endings, 'codes'>) {
  const { t } = useTranslation();
  const format = useFormats();
  if (codes.length === 0) return null;
  const most = Math.max(...codes.map(({ count }) => count));
  return (
    <ul className={styles.bars} aria-label={t('watch.errors.reasons')}>
      {codes.map(({ code, count, ours }) => (
        <li key={code}>
          <span>{t(`problems.${code}.what`, { defaultValue: code })}</span>
          <strong>{format.count(count)}</strong>
          <span className={styles.rail} aria-hidden="true">
            <span data-tone={ours ? 'bad' : undefined} style={{ width: `${(100 * count) / most}%` }} />
          </span>
          <code className={styles.note}>
            {code}
            {ours && ` · ${t('watch.errors.ours')}`}
          </code>
        </li>
      ))}
    </ul>
  );
}
