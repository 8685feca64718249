import { useTranslation } from 'react-i18next';

import { Card } from '../../components/Card';
import { classStyle } from '../../lib/colors';
import { countByClass } from '../../lib/boxes';
import { useNumbers } from '../../lib/numbers';
import { failuresByCode, histogram, type Row } from './rows';
import styles from './Statistics.module.css';

const MANY_NAMES = 50;

/** Counts by class, how sure the model was, and what could not be read. */
export function Statistics({ rows }: { rows: readonly Row[] }) {
  const { t } = useTranslation();
  const numbers = useNumbers();
  const counts = countByClass(rows.flatMap(({ found }) => found));
  const most = counts[0]?.count ?? 1;
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  return (
    <div className={styles.statistics}>
      <Card title={t('many.counts')} aside={t('many.findings', { count: total })}>
        {counts.length === 0 ? (
          <p className={styles.note}>{t('many.no_findings')}</p>
        ) : (
          <ul className={styles.bars} aria-label={t('many.counts')}>
            {counts.map(({ name, classId, count }) => (
              <li key={name}>
                <span className={styles.name}>{name}</span>
                <span className={styles.rail} aria-hidden="true">
                  <span style={{ width: `${(100 * count) / most}%`, background: classStyle(classId).color }} />
                </span>
                <span className={styles.number}>{numbers.count(count)}</span>
              </li>
            ))}
          </ul>
        )}
      </Card>
      {total > 0 && <Confidence rows={rows} />}
      <Failures rows={rows} />
    </div>
  );
}

const [WIDTH, HEIGHT, FOOT, LEFT] = [320, 150, 22, 34];

function Confidence({ rows }: { rows: readonly Row[] }) {
  const { t } = useTranslation();
  const { count: whole, percent } = useNumbers();
  const bins = histogram(rows);
  const most = Math.max(...bins, 1);
  const width = (WIDTH - LEFT) / bins.length;
  const says = (count: number, bin: number) =>
    t('many.bin', { count, from: percent(bin / bins.length), to: percent((bin + 1) / bins.length) });
  return (
    <Card title={t('many.histogram')} aside={t('many.histogram_unit')}>
      <svg
        className={styles.chart}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={bins.map(says).filter((_, bin) => bins[bin]).join('; ')}
      >
        <line x1={LEFT} x2={WIDTH} y1={HEIGHT - FOOT} y2={HEIGHT - FOOT} />
        <line x1={LEFT} x2={WIDTH} y1={10} y2={10} data-faint="" />
        <text x={LEFT - 6} y={14} textAnchor="end">
          {whole(most)}
        </text>
        <text x={LEFT - 6} y={HEIGHT - FOOT + 4} textAnchor="end">
          0
        </text>
        {bins.map((count, bin) => {
          const height = ((HEIGHT - FOOT - 10) * count) / most;
          return (
            <g key={bin}>
              <rect x={LEFT + bin * width + 1.5} y={HEIGHT - FOOT - height} width={width - 3} height={height} />
              {/* The whole column can be pointed at, however low its bar is. */}
              <rect x={LEFT + bin * width} y={0} width={width} height={HEIGHT - FOOT} data-hover="">
                <title>{says(count, bin)}</title>
              </rect>
            </g>
          );
        })}
        <text x={LEFT} y={HEIGHT - 4}>
          {percent(0)}
        </text>
        <text x={LEFT + (WIDTH - LEFT) / 2} y={HEIGHT - 4} textAnchor="middle">
          {percent(0.5)}
        </text>
        <text x={WIDTH} y={HEIGHT - 4} textAnchor="end">
          {percent(1)}
        </text>
      </svg>
    </Card>
  );
}

function Failures({ rows }: { rows: readonly Row[] }) {
  const { t } = useTranslation();
  const groups = failuresByCode(rows);
  if (groups.length === 0) return null;
  return (
    <Card title={t('many.failures')} aside={t('many.images', { count: rows.filter(({ error }) => error).length })}>
      <ul className={styles.failures}>
        {groups.map(({ code, detail, images }) => (
          <li key={code}>
            <p>
              <strong>{t(`problems.${code}.what`, { defaultValue: detail })}</strong>
            </p>
            <p className={styles.note}>{t(`problems.${code}.action`, { defaultValue: '' })}</p>
            <p className={styles.images}>
              {images.slice(0, MANY_NAMES).join(', ')}
              {images.length > MANY_NAMES && ` ${t('many.and_more', { count: images.length - MANY_NAMES })}`}
            </p>
          </li>
        ))}
      </ul>
    </Card>
  );
}
