import { Label, ProgressBar } from 'react-aria-components';

import styles from './Progress.module.css';

/** How far something is; without a value, that it goes on. */
export function Progress({ label, value }: { label: string; value?: number }) {
  return (
    <ProgressBar
      className={styles.progress ?? ''}
      {...(value === undefined ? { isIndeterminate: true } : { value, minValue: 0, maxValue: 1 })}
    >
      {({ percentage, valueText }) => (
        <>
          <Label className={styles.label ?? ''}>{label}</Label>
          <span className={styles.value}>{value === undefined ? '' : valueText}</span>
          <span className={styles.rail}>
            <span
              className={styles.fill}
              data-running={value === undefined ? '' : undefined}
              style={value === undefined ? undefined : { width: `${percentage ?? 0}%` }}
            />
          </span>
        </>
      )}
    </ProgressBar>
  );
}
