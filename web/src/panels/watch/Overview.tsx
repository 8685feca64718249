import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import { Icon, type IconName } from '../../components/Icon';
import { useFormats } from './format';
import { bounds, isWatched } from './rows';
import type { Tone } from './Tag';
import styles from './Watch.module.css';
import type { AlertsAnswer, DriftReport, Summary } from './watch';

/** With fewer judged answers, their share says next to nothing. */
const LEAST_JUDGED = 10;

interface OverviewProps {
  /** Null while that of another range is counted. */
  summary: Summary | null;
  /** Undefined until it is known; null where there was no check. */
  drift: DriftReport | null | undefined;
  /** When alerts were asked for, in milliseconds. */
  askedAt: number;
  /** Undefined until they are known; null where they may not be seen. */
  alerts: AlertsAnswer | null | undefined;
}

/** How it stands, in six numbers; each leads to its evidence. */
export function Overview({ summary, drift, alerts, askedAt }: OverviewProps) {
  const { t } = useTranslation();
  const format = useFormats();
  const { accuracy = null, latency_ms: latency = null } = summary ?? {};
  const isKnown = accuracy !== null && accuracy.value !== null && accuracy.judged >= LEAST_JUDGED;
  const estimate = drift ? bounds(drift.accuracy) : null;
  const interval = (lower: number, upper: number) =>
    t('watch.interval', { lower: format.percent(lower), upper: format.percent(upper) });
  const isOn = alerts != null && isWatched(alerts, askedAt);
  const firing = (alerts?.alerts ?? []).filter(({ phase }) => phase === 'firing');
  const critical = firing.some(({ severity }) => severity === 'critical');
  return (
    <ul className={styles.tiles} aria-label={t('watch.overview')}>
      <Tile
        href="#watch-traffic"
        icon="image"
        name={t('watch.tiles.answers')}
        value={summary ? format.short(summary.answers) : '…'}
      >
        {summary && t('watch.tiles.answers_note', { range: t(`watch.range_note.${summary.range}`) })}
      </Tile>
      <Tile
        href="#watch-latency"
        icon="pulse"
        name={t('watch.tiles.latency')}
        value={latency ? format.milliseconds(latency.p95) : summary ? '–' : '…'}
      >
        {latency
          ? t('watch.tiles.latency_note', { p50: format.milliseconds(latency.p50) })
          : summary && t('watch.tiles.nothing')}
      </Tile>
      <Tile
        href="#watch-accuracy"
        icon="check"
        name={t('watch.tiles.accuracy')}
        value={isKnown ? format.percent(accuracy.value ?? 0) : summary ? '–' : '…'}
      >
        {accuracy
          ? isKnown
            ? `${interval(accuracy.lower, accuracy.upper)}, ${t('watch.accuracy.judged', { count: accuracy.judged })}`
            : t('watch.tiles.too_few', { count: accuracy.judged })
          : summary && t('watch.tiles.unjudged')}
      </Tile>
      <Tile
        href="#watch-accuracy"
        icon="bulb"
        name={t('watch.tiles.estimate')}
        value={
          estimate
            ? `≈ ${format.percent(estimate.value)}`
            : drift?.accuracy.status === 'not_valid'
              ? t('watch.tiles.withdrawn')
              : unknown(drift)
        }
        tone={drift?.accuracy.status === 'not_valid' ? 'warning' : undefined}
      >
        {estimate
          ? interval(estimate.lower, estimate.upper)
          : drift !== undefined && t(`watch.tiles.estimate_${withoutEstimate(drift)}`)}
      </Tile>
      <Tile
        href="#watch-drift"
        icon="layers"
        name={t('watch.tiles.drift')}
        value={drift ? t(`watch.drift.verdict.${verdictOf(drift)}`) : unknown(drift)}
        tone={drift ? toneOf(drift) : undefined}
      >
        {drift ? format.moment(drift.created_at) : drift === null && t('watch.tiles.unchecked')}
      </Tile>
      <Tile
        href="#watch-alerts"
        icon="alert"
        name={t('watch.tiles.alerts')}
        value={isOn ? format.count(firing.length) : unknown(alerts)}
        tone={firing.length && isOn ? (critical ? 'bad' : 'warning') : undefined}
      >
        {alerts === null
          ? t('watch.tiles.no_right')
          : alerts && !isOn
            ? t('watch.tiles.unwatched')
            : firing.length
              ? firing.map(({ rule }) => t(`watch.rules.${rule}.name`, { defaultValue: rule })).join(', ')
              : alerts && t('watch.tiles.quiet')}
      </Tile>
    </ul>
  );
}

/** In place of a value: that it is not known yet, or that there is none. */
function unknown(found: object | null | undefined): string {
  return found === undefined ? '…' : '–';
}

/** Why there is no estimate: nobody looked, or this cannot be estimated, or no more. */
function withoutEstimate(drift: DriftReport | null): 'none' | 'unavailable' | 'not_valid' {
  return drift === null ? 'none' : drift.accuracy.status === 'not_valid' ? 'not_valid' : 'unavailable';
}

/** The alarm in a word. */
export function verdictOf({ alarm, severity }: DriftReport): 'none' | 'warning' | 'critical' | 'unknown' {
  if (alarm === null) return 'unknown';
  return alarm ? (severity ?? 'warning') : 'none';
}

export function toneOf(report: DriftReport): Tone {
  return ({ none: 'good', warning: 'warning', critical: 'bad', unknown: 'neutral' } as const)[verdictOf(report)];
}

interface TileProps {
  href: string;
  icon: IconName;
  name: string;
  value: string;
  tone?: Tone | undefined;
  children: ReactNode;
}

function Tile({ href, icon, name, value, tone, children }: TileProps) {
  return (
    <li>
      <a href={href} className={styles.tile} data-tone={tone}>
        <span className={styles.tilename}>
          <Icon name={icon} size={16} />
          {name}
        </span>
        <strong>{value}</strong>
        <span className={styles.note}>{children}</span>
      </a>
    </li>
  );
}
