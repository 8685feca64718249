import { useTranslation } from 'react-i18next';

import { Card } from '../../components/Card';
import { DataTable, Nothing } from './ChartCard';
import { useFormats } from './format';
import { Tag } from './Tag';
import styles from './Watch.module.css';
import type { Comparison, ComparisonReport } from './watch';

interface ComparisonProps {
  comparison: Comparison;
  onChoose: (pair: readonly [string, string]) => void;
}

/** Two versions by what people said of their answers, by agreement and by latency. */
export function ComparisonCard({ comparison, onChoose }: ComparisonProps) {
  const { t } = useTranslation();
  const { report } = comparison;
  return (
    <div id="watch-comparison" className={styles.anchor}>
      <Card title={t('watch.comparison.title')}>
        {report === null ? (
          <Nothing text={t('watch.comparison.empty')} />
        ) : (
          <>
            <Choice comparison={comparison} report={report} onChoose={onChoose} />
            <Compared report={report} />
          </>
        )}
      </Card>
    </div>
  );
}

function Choice({ comparison, report, onChoose }: ComparisonProps & { report: ComparisonReport }) {
  const { t } = useTranslation();
  const pair = [report.first.version, report.second.version] as const;
  // A shadow has answered nobody, and is not among those to choose from.
  const names = [...new Set([...comparison.versions.map(({ version }) => version), ...pair])];
  if (names.length < 3) return null;
  return (
    <div className={styles.line}>
      {([0, 1] as const).map((side) => (
        <label key={side} className={styles.select}>
          {t(side === 0 ? 'watch.comparison.first' : 'watch.comparison.second')}
          <select
            value={pair[side]}
            onChange={({ target }) => onChoose(side === 0 ? [target.value, pair[1]] : [pair[0], target.value])}
          >
            {names.map((version) => (
              <option key={version} value={version} disabled={version === pair[1 - side]}>
                {t('watch.version', { version })}
              </option>
            ))}
          </select>
        </label>
      ))}
    </div>
  );
}

function Compared({ report }: { report: ComparisonReport }) {
  const { t } = useTranslation();
  const format = useFormats();
  const { first, second, gain, slower_ms: slower, agreement } = report;
  const percentOf = (one: ComparisonReport['first']) =>
    one.accuracy?.value == null
      ? t('watch.comparison.unknown')
      : `${format.percent(one.accuracy.value)} (${t('watch.interval', { lower: format.percent(one.accuracy.lower), upper: format.percent(one.accuracy.upper) })})`;
  const milliseconds = (value: number | null) => (value === null ? '–' : format.milliseconds(value));
  const between = (low: string, high: string) => t('watch.interval', { lower: low, upper: high });
  const tone = { better: 'good', worse: 'bad', undecided: 'neutral' } as const;
  return (
    <>
      <p className={styles.line}>
        <Tag tone={tone[report.verdict]}>{t(`watch.comparison.verdict.${report.verdict}`)}</Tag>
        <span>
          {gain.value === null
            ? t('watch.comparison.gain_unknown')
            : t(`watch.comparison.says.${report.verdict}`, { first: first.version, second: second.version })}
        </span>
      </p>
      {gain.value !== null && (
        <Gain
          lower={gain.lower}
          value={gain.value}
          upper={gain.upper}
          label={t('watch.comparison.gain', {
            points: format.points(gain.value),
            lower: format.points(gain.lower),
            upper: format.points(gain.upper),
          })}
        />
      )}
      <DataTable
        title={t('watch.comparison.title')}
        columns={[t('watch.comparison.quantity'), t('watch.version', { version: first.version }), t('watch.version', { version: second.version }), t('watch.comparison.difference')]}
        rows={[
          [t('watch.comparison.answers'), format.count(first.answers), format.count(second.answers), ''],
          [t('watch.comparison.judged'), format.count(first.judged), format.count(second.judged), ''],
          [
            t('watch.comparison.accuracy'),
            percentOf(first),
            percentOf(second),
            gain.value === null
              ? '–'
              : `${t('watch.comparison.points', { points: format.points(gain.value) })} (${between(format.points(gain.lower), format.points(gain.upper))})`,
          ],
          [t('watch.comparison.p50'), milliseconds(first.p50_ms), milliseconds(second.p50_ms), ''],
          [
            t('watch.comparison.p95'),
            milliseconds(first.p95_ms),
            milliseconds(second.p95_ms),
            slower?.value == null
              ? '–'
              : `${format.signed(slower.value)} ms (${between(format.signed(slower.lower), format.signed(slower.upper))})`,
          ],
          [
            t('watch.comparison.agreement'),
            '',
            '',
            agreement?.value == null
              ? t('watch.comparison.no_agreement')
              : `${format.percent(agreement.value)} (${between(format.percent(agreement.lower), format.percent(agreement.upper))}, ${t('watch.comparison.images', { count: agreement.images })})`,
          ],
        ]}
      />
      <p className={styles.note}>
        {t(`watch.comparison.basis.${report.basis}`, { when: format.moment(report.since), confidence: format.roughly(report.confidence) })}
      </p>
    </>
  );
}

/** The gain in accuracy with its bounds, on a line from -w to w around nought. */
function Gain({ lower, value, upper, label }: { lower: number; value: number; upper: number; label: string }) {
  const { t } = useTranslation();
  const half = Math.max(0.05, Math.min(1, 1.15 * Math.max(Math.abs(lower), Math.abs(upper))));
  const at = (point: number) => `${50 + (50 * point) / half}%`;
  const tone = lower > 0 ? 'good' : upper < 0 ? 'bad' : 'neutral';
  return (
    <div className={styles.gain} role="img" aria-label={label}>
      <span className={styles.gainline} data-tone={tone}>
        <span className={styles.zero} />
        <span className={styles.reach} style={{ left: at(lower), right: `calc(100% - ${at(upper)})` }} />
        <span className={styles.point} style={{ left: at(value) }} />
      </span>
      <span className={styles.ends} aria-hidden="true">
        <span>{t('watch.comparison.worse_side')}</span>
        <span>{label}</span>
        <span>{t('watch.comparison.better_side')}</span>
      </span>
    </div>
  );
}
