import { useTranslation } from 'react-i18next';

import { Card } from '../../components/Card';
import type { Change } from './history';
import styles from './Models.module.css';

/** Who was champion when, by whom and why. */
export function Changes({ changes }: { changes: readonly Change[] }) {
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
            <p>{change.why}</p>
            <p className={styles.note}>
              <time dateTime={change.when}>{date.format(new Date(change.when))}</time> {t('models.by', { who: change.who })}
            </p>
          </li>
        ))}
      </ol>
    </Card>
  );
}
