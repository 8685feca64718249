import { useTranslation } from 'react-i18next';

import { classStyle } from '../../lib/colors';
import { useNumbers } from '../../lib/numbers';
import { numberKeys } from './keys';
import styles from './Label.module.css';

/** Names no longer need little room. */
const SHORT = 3;

interface ClassChoiceProps {
  classes: readonly string[];
  /** What it is now, or nothing. */
  value: string | null;
  /** Scores by class, where the model gave some. */
  scores?: ReadonlyMap<string, number> | undefined;
  hasKeys: boolean;
  onChoose: (name: string) => void;
}

/** A button for each class, with its number key. */
export function ClassChoice({ classes, value, scores, hasKeys, onChoose }: ClassChoiceProps) {
  const { t } = useTranslation();
  const { percent } = useNumbers();
  const keyOf = new Map([...numberKeys(classes)].map(([key, name]) => [name, key]));
  return (
    <div
      className={styles.choices}
      data-short={classes.every((name) => name.length <= SHORT) ? '' : undefined}
      role="group"
      aria-label={t('label.classes')}
    >
      {classes.map((name, index) => {
        const key = hasKeys ? keyOf.get(name) : undefined;
        const score = scores?.get(name);
        return (
          <button
            key={name}
            type="button"
            className={styles.choice}
            aria-pressed={name === value}
            aria-keyshortcuts={key}
            onClick={() => onChoose(name)}
          >
            <span className={styles.swatch} style={{ background: classStyle(index).color }} />
            <span className={styles.name}>{name}</span>
            {score !== undefined && <span className={styles.place}>{percent(score)}</span>}
            {key !== undefined && key !== name && <kbd aria-hidden="true">{key}</kbd>}
          </button>
        );
      })}
    </div>
  );
}
