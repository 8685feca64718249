import { useTranslation } from 'react-i18next';

import { useNumbers } from '../../lib/numbers';
import styles from './Live.module.css';

/** Medians over the latest frames; null before the first. */
export interface LiveFigures {
  readonly framesPerSecond: number | null;
  /** From sending a frame to its answer. */
  readonly latencyMs: number | null;
  /** The part of it in the service's queue and model. */
  readonly modelMs: number | null;
  /** Frames of the camera since the connection was made. */
  readonly seen: number;
  /** Those that nobody was asked about, because the model was busy with others. */
  readonly dropped: number;
}

export const NO_FIGURES: LiveFigures = { framesPerSecond: null, latencyMs: null, modelMs: null, seen: 0, dropped: 0 };

/** What of the latency is neither queue nor model; null until both are known. */
export function restOf({ latencyMs, modelMs }: Pick<LiveFigures, 'latencyMs' | 'modelMs'>): number | null {
  return latencyMs === null || modelMs === null ? null : Math.max(0, latencyMs - modelMs);
}

export function Figures({ figures }: { figures: LiveFigures }) {
  const { t } = useTranslation();
  const { number, milliseconds } = useNumbers();
  const time = (value: number | null) => (value === null ? '– ms' : milliseconds(value));
  const rows = [
    ['fps', figures.framesPerSecond === null ? '–' : number(figures.framesPerSecond)],
    ['latency', time(figures.latencyMs)],
    ['model_time', time(figures.modelMs)],
    ['rest_time', time(restOf(figures))],
    ['dropped', t('live.of', { dropped: figures.dropped, seen: figures.seen })],
  ] as const;
  return (
    <>
      <dl className={styles.figures}>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{t(`live.${name}`)}</dt>
            <dd data-testid={name}>{value}</dd>
          </div>
        ))}
      </dl>
      <p className={styles.hint}>{t('live.dropped_about')}</p>
    </>
  );
}
