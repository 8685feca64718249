import { useTranslation } from 'react-i18next';

import { Card } from '../../components/Card';
import { metricText, type Change, type Version } from './history';
import { metricWord } from './Metric';
import styles from './Models.module.css';

/** Who was champion when, by whom and why. */
export function Changes({ changes, versions }: { changes: readonly Change[]; versions: readonly Version[] }) {
  const { t, i18n } = useTranslation();
  const date = new Intl.DateTimeFormat(i18n.language, { dateStyle: 'medium', timeStyle: 'short' });
  return (
    <Card title={t('models.history')}>
      {changes.length === 0 && <p className={styles.note}>{t('models.history_none')}</p>}
      <ol className={styles.changes}>
        {changes.map((change) => (
          <li key={`${change.when} ${change.to_version}`} data-action={change.action}>
            <p>
              <strong>{t(`models.changed.${change.action}`, { model: change.model, to: change.to_version })}</strong>{' '}
              <span className={styles.note}>
                {change.from_version === null ? t('models.first') : t('models.before', { from: change.from_version })}
                {change.forced && `, ${t('models.forced')}`}
              </span>
            </p>
            <Why change={change} versions={versions} />
            <p className={styles.note}>
              <time dateTime={change.when}>{date.format(new Date(change.when))}</time> {t('models.by', { who: change.who })}
            </p>
          </li>
        ))}
      </ol>
    </Card>
  );
}

/** Why it was done: what somebody wrote, or the gate's verdict, which the page has words for. */
function Why({ change, versions }: { change: Change; versions: readonly Version[] }) {
  const { t, i18n } = useTranslation();
  const version = versions.find((held) => held.version === change.to_version && held.verdict?.summary === change.why);
  if (version?.verdict?.decision !== 'promote') return <p>{change.why}</p>;
  const { primary_metric: metric, metrics } = version;
  return (
    <p>
      {t('models.passed_gate', {
        metric: metricWord(t, metric),
        value: metricText(metric, metrics[metric] ?? null, i18n.language),
      })}
    </p>
  );
}
