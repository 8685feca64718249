import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef } from 'react';
import { ToggleButton } from 'react-aria-components';
import { useTranslation } from 'react-i18next';

import type { Model, TaskAnswer } from '../../api/client';
import { Button } from '../../components/Button';
import { Card } from '../../components/Card';
import { Slider } from '../../components/Slider';
import { countByClass, meanThreshold, operatingPoint, shown } from '../../lib/boxes';
import { classStyle } from '../../lib/colors';
import styles from './DetectionCard.module.css';
import { Footnote, modelName } from './Footnote';
import type { Found } from './results';

export interface DetectionView {
  /** The visitor's own threshold for all classes; null at the model's operating point. */
  readonly threshold: number | null;
  /** Classes not shown. */
  readonly hidden: ReadonlySet<string>;
}

interface DetectionCardProps {
  answer: TaskAnswer;
  /** Everything the model hesitated about. */
  candidates: readonly Found[];
  /** What of it is drawn. */
  found: readonly Found[];
  model: Model | undefined;
  view: DetectionView;
  onView: (view: DetectionView) => void;
  highlighted: number | null;
  onHighlight: (index: number | null) => void;
}

/** Threshold, classes and the list of boxes; the boxes themselves are on the stage. */
export function DetectionCard({ answer, candidates, found, model, view, onView, ...linked }: DetectionCardProps) {
  const { t } = useTranslation();
  const point = operatingPoint(model?.operating_point);
  const start = meanThreshold(point, model?.classes.length ?? 0);
  const own = view.threshold;
  const counts = countByClass(shown(candidates, own === null ? point : () => own, new Set()));
  return (
    <Card title={t('task.detection')} aside={modelName(t, answer)}>
      <div>
        <Slider
          label={t('try.threshold')}
          value={own ?? start}
          mark={start}
          onChange={(threshold) => onView({ ...view, threshold })}
        />
        <div className={styles.about}>
          <p>{t(own === null ? 'try.threshold_point' : 'try.threshold_own')}</p>
          {own !== null && (
            <Button small kind="quiet" icon="retry" onPress={() => onView({ ...view, threshold: null })}>
              {t('try.threshold_reset')}
            </Button>
          )}
        </div>
      </div>
      <p className={styles.count} data-testid="count">
        <strong>{t('try.counts', { count: found.length })}</strong>
        <span>{t('try.of_found', { count: candidates.length })}</span>
      </p>
      {counts.length > 0 && (
        <div className={styles.chips} role="group" aria-label={t('try.filter')}>
          {counts.map(({ name, classId, count }) => (
            <ToggleButton
              key={name}
              className={styles.chip ?? ''}
              isSelected={!view.hidden.has(name)}
              onChange={(isShown) => onView({ ...view, hidden: toggled(view.hidden, name, !isShown) })}
            >
              <Swatch classId={classId} />
              <span>{name}</span>
              <span className={styles.number}>{count}</span>
            </ToggleButton>
          ))}
        </div>
      )}
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
  const { t, i18n } = useTranslation();
  const scroller = useRef<HTMLDivElement>(null);
  const percent = new Intl.NumberFormat(i18n.language, { style: 'percent' });
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
          const score = percent.format(item.score);
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

function Swatch({ classId }: { classId: number }) {
  const { color, dash } = classStyle(classId);
  return (
    <span
      className={styles.swatch}
      style={{ borderColor: color, borderStyle: dash.length ? 'dashed' : 'solid', background: `${color}66` }}
    />
  );
}

function toggled(set: ReadonlySet<string>, name: string, isIn: boolean): ReadonlySet<string> {
  const next = new Set(set);
  if (isIn) next.add(name);
  else next.delete(name);
  return next;
}
