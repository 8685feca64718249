import { ToggleButton } from 'react-aria-components';
import { useTranslation } from 'react-i18next';

import { meanThreshold, thresholdRange, type BoxView, type Threshold } from '../lib/boxes';
import { classStyle } from '../lib/colors';
import { useNumbers } from '../lib/numbers';
import styles from './BoxFilter.module.css';
import { Button } from './Button';
import { Slider } from './Slider';

interface ViewProps {
  view: BoxView;
  onView: (view: BoxView) => void;
}

interface ThresholdSliderProps extends ViewProps {
  /** The model's operating point, where it starts. */
  point: Threshold;
  numClasses: number;
  /** Least that can be chosen: what is below was not asked for. */
  min?: number;
}

/** The least confidence of what is drawn. */
export function ThresholdSlider({ point, numClasses, min = 0, view, onView }: ThresholdSliderProps) {
  const { t } = useTranslation();
  const { percent } = useNumbers();
  const start = Math.max(min, meanThreshold(point, numClasses));
  const [low, high] = thresholdRange(point, numClasses).map((value) => percent(Math.max(min, value)));
  // Until it is moved every class has its own; their mean would stand beside boxes that lie below it.
  const range = view.threshold === null && low !== high ? t('try.threshold_range', { low, high }) : undefined;
  return (
    <div>
      <Slider
        label={t('try.threshold')}
        value={view.threshold ?? start}
        min={min}
        mark={start}
        text={range}
        onChange={(threshold) => onView({ ...view, threshold })}
      />
      <div className={styles.about}>
        <p>{t(view.threshold === null ? 'try.threshold_point' : 'try.threshold_own')}</p>
        {view.threshold !== null && (
          <Button small kind="quiet" icon="retry" onPress={() => onView({ ...view, threshold: null })}>
            {t('try.threshold_reset')}
          </Button>
        )}
      </div>
    </div>
  );
}

interface ClassChipsProps extends ViewProps {
  classes: readonly { readonly name: string; readonly classId: number; readonly count: number }[];
}

/** Which classes are drawn. */
export function ClassChips({ classes, view, onView }: ClassChipsProps) {
  const { t } = useTranslation();
  const numbers = useNumbers();
  if (classes.length === 0) return null;
  return (
    <div className={styles.chips} role="group" aria-label={t('try.filter')}>
      {classes.map(({ name, classId, count }) => (
        <ToggleButton
          key={name}
          className={styles.chip ?? ''}
          isSelected={!view.hidden.has(name)}
          onChange={(isShown) => onView({ ...view, hidden: toggled(view.hidden, name, !isShown) })}
        >
          <Swatch classId={classId} />
          <span className={styles.name} title={name}>
            {name}
          </span>
          <span className={styles.number}>{numbers.count(count)}</span>
        </ToggleButton>
      ))}
    </div>
  );
}

/** A class's colour. */
export function Swatch({ classId }: { classId: number }) {
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
