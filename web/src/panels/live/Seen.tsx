import { useTranslation } from 'react-i18next';

import type { FramePrediction } from '../../api/stream';
import { countByClass } from '../../lib/boxes';
import { classStyle } from '../../lib/colors';
import { useNumbers } from '../../lib/numbers';
import styles from './Live.module.css';

const FEW = 3;
/** More than these would push what lies below about. */
const MOST = 8;

interface SeenProps {
  prediction: FramePrediction | null;
  /** Code of the refusal of a frame. */
  problem?: string | null | undefined;
}

/** What is drawn over the frame, in words: the number of each class, or the most probable classes. */
export function Seen({ prediction, problem = null }: SeenProps) {
  const { t } = useTranslation();
  const numbers = useNumbers();
  const detections = prediction?.detections;
  const rows = detections
    ? countByClass(detections).map(({ name, classId, count }) => ({ name, classId, value: numbers.count(count) }))
    : (prediction?.ranked ?? [])
        .slice(0, FEW)
        .map((item) => ({ name: item.class, classId: item.class_id, value: numbers.percent(item.score) }));
  return (
    <div className={styles.seen} data-testid="seen">
      {rows.length > 0 ? (
        <ul className={styles.classes} aria-label={t('live.seen')}>
          {rows.slice(0, MOST).map(({ name, classId, value }) => (
            <li key={classId}>
              <span className={styles.swatch} style={{ background: classStyle(classId).color }} />
              <span title={name}>{name}</span>
              <span className={styles.number}>{value}</span>
            </li>
          ))}
          {rows.length > MOST && (
            <li className={styles.number}>{t('live.more_classes', { count: rows.length - MOST })}</li>
          )}
        </ul>
      ) : (
        <p className={styles.hint}>
          {problem === null
            ? t(prediction ? 'live.nothing' : 'live.not_yet')
            : t(`problems.${problem}.what`, { defaultValue: problem })}
        </p>
      )}
    </div>
  );
}
