import { useTranslation } from 'react-i18next';

import { classStyle } from '../../lib/colors';
import styles from './Models.module.css';
import { Plot } from './Plot';
import { curvesOf, type Table } from './report';
import own from './Report.module.css';

/** So many curves can be told apart. */
const MOST_CURVES = 20;

/** Precision against recall of each class. */
export function PrecisionRecall({ table, names }: { table: Table; names: readonly string[] }) {
  const { t } = useTranslation();
  const curves = curvesOf(table)
    .slice(0, MOST_CURVES)
    .map((curve) => ({ ...curve, ...classStyle(Math.max(0, names.indexOf(curve.name))) }));
  return (
    <section className={own.part}>
      <h5>{t('models.report.pr')}</h5>
      <p className={styles.note}>{t('models.report.pr_about')}</p>
      <Plot title={t('models.report.pr')} x={t('models.report.recall')} y={t('models.report.precision')} curves={curves} />
      <ul className={own.legend} aria-label={t('models.report.legend')}>
        {curves.map(({ name, color, dash }) => (
          <li key={name}>
            <span style={{ borderColor: color, borderStyle: dash.length > 0 ? 'dashed' : 'solid' }} />
            {name}
          </li>
        ))}
      </ul>
      {names.length > MOST_CURVES && (
        <p className={styles.note}>{t('models.report.first_curves', { count: MOST_CURVES })}</p>
      )}
    </section>
  );
}

/** How often the model is right where it says how sure it is. */
export function Reliability({ table }: { table: Table }) {
  const { t } = useTranslation();
  const points = table.rows.map(([confidence, accuracy]) => [Number(confidence), Number(accuracy)] as const);
  const name = t('models.report.accuracy');
  return (
    <section className={own.part}>
      <h5>{t('models.report.reliability')}</h5>
      <p className={styles.note}>{t('models.report.reliability_about')}</p>
      <Plot
        title={t('models.report.reliability')}
        x={t('models.report.confidence')}
        y={name}
        curves={[{ name, points, color: 'var(--accent)', isMarked: true }]}
        hasDiagonal
      />
    </section>
  );
}
