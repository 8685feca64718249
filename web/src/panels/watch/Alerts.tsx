import { useTranslation } from 'react-i18next';

import { Card } from '../../components/Card';
import { Icon } from '../../components/Icon';
import { Nothing } from './ChartCard';
import { useFormats } from './format';
import { isWatched, type Watched } from './rows';
import { Tag, type Tone } from './Tag';
import styles from './Watch.module.css';
import type { Alert } from './watch';

interface AlertsProps {
  alerts: readonly Alert[];
  watched: Watched;
  /** When the service was asked, in milliseconds. */
  askedAt: number;
}

/** What is wrong now, and what was. */
export function Alerts({ alerts, watched, askedAt }: AlertsProps) {
  const { t } = useTranslation();
  const format = useFormats();
  const watchedAt = watched.watched_at;
  const open = alerts.filter(({ phase }) => phase !== 'resolved');
  const resolved = alerts.filter(({ phase }) => phase === 'resolved');
  return (
    <div id="watch-alerts" className={styles.anchor}>
      <Card title={t('watch.alerts.title')} aside={watchedAt && t('watch.alerts.watched', { when: format.moment(watchedAt) })}>
        {watchedAt === null ? (
          <Nothing text={t('watch.alerts.unwatched')} />
        ) : isWatched(watched, askedAt) ? (
          open.length === 0 && <Nothing icon="check" text={t('watch.alerts.none')} />
        ) : (
          <Nothing icon="alert" text={t('watch.alerts.stopped', { when: format.moment(watchedAt) })} />
        )}
        <AlertList alerts={open} />
        {resolved.length > 0 && (
          <details className={styles.more}>
            <summary>{t('watch.alerts.resolved', { count: resolved.length })}</summary>
            <AlertList alerts={resolved} />
          </details>
        )}
      </Card>
    </div>
  );
}

function toneOf({ phase, severity }: Alert): Tone {
  if (phase !== 'firing') return phase === 'resolved' ? 'good' : 'neutral';
  return severity === 'critical' ? 'bad' : 'warning';
}

function AlertList({ alerts }: { alerts: readonly Alert[] }) {
  const { t, i18n } = useTranslation();
  const format = useFormats();
  if (alerts.length === 0) return null;
  return (
    <ul className={styles.alerts}>
      {alerts.map((alert) => (
        <li key={`${alert.rule} ${alert.label}`} data-phase={alert.phase} data-severity={alert.severity}>
          <p className={styles.line}>
            <Icon name={alert.phase === 'resolved' ? 'check' : 'alert'} size={18} />
            <strong>
              {t(`watch.rules.${alert.rule}.name`, { defaultValue: alert.rule })}
              {alert.label && ` · ${t(`task.${alert.label}`, { defaultValue: alert.label })}`}
            </strong>
            <Tag tone={toneOf(alert)}>
              {alert.phase === 'firing' ? t(`watch.severity.${alert.severity}`) : t(`watch.alerts.${alert.phase}_tag`)}
            </Tag>
            {alert.silenced_until !== null && (
              <Tag tone="neutral">{t('watch.alerts.silenced', { when: format.moment(alert.silenced_until) })}</Tag>
            )}
          </p>
          <p lang="en">{alert.text}</p>
          {alert.phase !== 'resolved' && i18n.exists(`watch.rules.${alert.rule}.todo`) && (
            <p>
              {t('watch.alerts.todo')} {t(`watch.rules.${alert.rule}.todo`)}
            </p>
          )}
          <p className={styles.note}>
            {t(`watch.alerts.since_${alert.phase}`, { when: format.moment(alert.since) })}
            {alert.silenced_why && ` · ${alert.silenced_why}`}
            {alert.phase !== 'resolved' && (
              <>
                {' · '}
                {t('watch.alerts.runbook')} <code>{alert.runbook}</code>
              </>
            )}
          </p>
        </li>
      ))}
    </ul>
  );
}
