import { useTranslation } from 'react-i18next';

import { Card } from '../../components/Card';
import { Nothing } from './ChartCard';
import { useFormats } from './format';
import styles from './Watch.module.css';
import type { ServiceCounts } from './watch';

/** What was refused or failed, and why. */
export function Errors({ service }: { service: ServiceCounts }) {
  const { t } = useTranslation();
  const format = useFormats();
  const failed = service.by_status['5xx'] ?? 0;
  const most = Math.max(1, ...service.refusals.map(({ count }) => count));
  return (
    <div id="watch-errors" className={styles.anchor}>
      <Card title={t('watch.errors.title')}>
        <p className={styles.note}>
          {t('watch.errors.unit')} {service.since && t('watch.since_start', { when: format.moment(service.since) })}
        </p>
        <dl className={styles.facts}>
          <div>
            <dt>{t('watch.errors.requests')}</dt>
            <dd>{format.count(service.requests)}</dd>
          </div>
          <div data-tone={failed > 0 ? 'bad' : undefined}>
            <dt>{t('watch.errors.failed')}</dt>
            <dd>{format.count(failed)}</dd>
          </div>
          <div>
            <dt>{t('watch.errors.refused')}</dt>
            <dd>{format.count(service.refusals.reduce((sum, { count }) => sum + count, 0))}</dd>
          </div>
          <div data-tone={service.rows.dropped > 0 ? 'bad' : undefined}>
            <dt>{t('watch.errors.dropped')}</dt>
            <dd>{format.count(service.rows.dropped)}</dd>
          </div>
        </dl>
        {service.refusals.length === 0 ? (
          <Nothing icon="check" text={t('watch.errors.none')} />
        ) : (
          <ul className={styles.bars} aria-label={t('watch.errors.title')}>
            {service.refusals.map(({ code, count, ours }) => (
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
        )}
      </Card>
    </div>
  );
}
