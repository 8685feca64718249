import { memo, useMemo } from 'react';
import { useTranslation } from 'react-i18next';

import { classStyle } from '../../lib/colors';
import { numbers } from '../../lib/numbers';
import styles from './Live.module.css';
import { barsOf, framesByClass, type Bar, type Moment } from './timeline';

const HEIGHT = 100;
const NUM_BARS = 120;

interface TimelineProps {
  moments: readonly Moment[];
  /** Seconds. */
  duration: number;
  position: number;
  /** Seconds between two frames that are looked at. */
  step: number;
  onSeek: (time: number) => void;
}

/** How many of each class there are over the time of a video; a click, a drag or an arrow key goes there. */
export function Timeline({ moments, duration, position, step, onSeek }: TimelineProps) {
  const { t, i18n } = useTranslation();
  const numBars = Math.max(1, Math.min(NUM_BARS, Math.round(duration / step)));
  const bars = useMemo(() => barsOf(moments, duration, numBars), [moments, duration, numBars]);
  const classes = useMemo(() => framesByClass(moments), [moments]);
  const most = Math.max(1, ...bars.map(({ parts }) => parts.reduce((sum, { count }) => sum + count, 0)));
  return (
    <div className={styles.timeline}>
      <div className={styles.bars}>
        <Bars bars={bars} duration={duration} most={most} />
        <span className={styles.playhead} style={{ left: `${(100 * position) / duration}%` }} />
        <input
          type="range"
          aria-label={t('live.position')}
          aria-valuetext={clock(position, i18n.language)}
          min={0}
          max={duration}
          step={step}
          value={position}
          onChange={({ target }) => onSeek(Number(target.value))}
        />
      </div>
      <div className={styles.scale}>
        <span>{clock(position, i18n.language)}</span>
        <span>{moments.length > 0 && t('live.most', { count: most })}</span>
        <span>{clock(duration, i18n.language)}</span>
      </div>
      {classes.length > 0 && (
        <ul className={styles.classes} aria-label={t('live.classes')}>
          {classes.map(({ name, classId, count }) => (
            <li key={classId}>
              <span className={styles.swatch} style={{ background: classStyle(classId).color }} />
              <span title={name}>{name}</span>
              <span className={styles.number}>{t('live.in_frames', { count })}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** A hundred bars need not be drawn again for each frame that is played. */
const Bars = memo(function Bars({ bars, duration, most }: { bars: readonly Bar[]; duration: number; most: number }) {
  return (
    <svg viewBox={`0 0 ${duration} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {bars.map(({ start, end, parts }) => {
        let y = HEIGHT;
        return parts.map(({ name, classId, count }) => {
          const height = (HEIGHT * count) / most;
          y -= height;
          return (
            <rect
              key={`${start} ${name}`}
              x={start}
              y={y}
              width={(end - start) * 0.92}
              height={height}
              fill={classStyle(classId).color}
            />
          );
        });
      })}
    </svg>
  );
});

/** Minutes and seconds, such as 1:05.2, with the language's point. */
export function clock(seconds: number, language: string): string {
  const tenths = Math.round(seconds * 10);
  const rest = numbers(language).fixed((tenths % 600) / 10, 1).padStart(4, '0');
  return `${Math.floor(tenths / 600)}:${rest}`;
}
