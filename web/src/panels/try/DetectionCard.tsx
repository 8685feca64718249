import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';

import type { Model, TaskAnswer } from '../../api/client';
import { ClassChips, Swatch, ThresholdSlider } from '../../components/BoxFilter';
import { Card } from '../../components/Card';
import { countByClass, operatingPoint, shown, type BoxView } from '../../lib/boxes';
import { useNumbers } from '../../lib/numbers';
import styles from './DetectionCard.module.css';
import { Footnote, modelName } from './Footnote';
import type { Found } from './results';

interface DetectionCardProps {
  answer: TaskAnswer;
  /** Everything the model hesitated about. */
  candidates: readonly Found[];
  /** What of it is drawn. */
  found: readonly Found[];
  model: Model | undefined;
  view: BoxView;
  onView: (view: BoxView) => void;
  highlighted: number | null;
  onHighlight: (index: number | null) => void;
}

/** Threshold, classes and the list of boxes; the boxes themselves are on the stage. */
export function DetectionCard({ answer, candidates, found, model, view, onView, ...linked }: DetectionCardProps) {
  const { t } = useTranslation();
  const point = operatingPoint(model?.operating_point);
  const own = view.threshold;
  const counts = countByClass(shown(candidates, own === null ? point : () => own, new Set()));
  return (
    <Card title={t('task.detection')} aside={modelName(t, answer)}>
      <ThresholdSlider point={point} numClasses={model?.classes.length ?? 0} view={view} onView={onView} />
      <p className={styles.count} data-testid="count">
        <strong>{t('try.counts', { count: found.length })}</strong>
        <span>{t('try.of_found', { count: candidates.length })}</span>
      </p>
      <ClassChips classes={counts} view={view} onView={onView} />
      {found.length > 0 ? (
        <Objects found={found} {...linked} />
      ) : (
        <p className={styles.nothing}>{t(candidates.length > 0 ? 'try.nothing' : 'try.nothing_at_all')}</p>
      )}
      <Footnote answer={answer} />
    </Card>
  );
}

const ROW = 36;

interface ObjectsProps {
  found: readonly Found[];
  highlighted: number | null;
  onHighlight: (index: number | null) => void;
}

/** The boxes as a list; only the rows in sight are there. */
function Objects({ found, highlighted, onHighlight }: ObjectsProps) {
  const { t } = useTranslation();
  const scroller = useRef<HTMLDivElement>(null);
  const { percent } = useNumbers();
  // eslint-disable-next-line react-hooks/incompatible-library -- it redraws by itself; nothing here is memoized on it
  const rows = useVirtualizer({
    count: found.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 6,
  });
  useEffect(() => {
    if (highlighted !== null && highlighted < found.length) rows.scrollToIndex(highlighted);
  }, [highlighted, found.length, rows]);
  return (
    <div ref={scroller} className={styles.objects}>
      <ul aria-label={t('try.objects')} style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map(({ index, start }) => {
          const item = found[index];
          if (!item) return null;
          const [x, y] = item.box_xyxy;
          const score = percent(item.score);
          return (
            <li key={index} style={{ transform: `translateY(${start}px)` }}>
              <button
                type="button"
                className={styles.object}
                data-highlighted={highlighted === index ? '' : undefined}
                onPointerEnter={() => onHighlight(index)}
                onPointerLeave={() => onHighlight(null)}
                onFocus={() => onHighlight(index)}
                onBlur={() => onHighlight(null)}
              >
                <Swatch classId={item.class_id} />
                <span className={styles.name}>{item.class}</span>
                <span className={styles.number}>{score}</span>
                <span className="visually-hidden">{t('try.object_at', { x: Math.round(x), y: Math.round(y) })}</span>
              </button>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
