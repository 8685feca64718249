import type { ReactNode } from 'react';

import styles from './Models.module.css';

/** A table that may be wider than the page: keys have to scroll it as well. */
export function ScrollTable({ label, className, children }: { label: string; className?: string; children: ReactNode }) {
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- wider than a phone: keys have to scroll it
    <div className={styles.scroll} tabIndex={0} role="group" aria-label={label}>
      <table className={className ?? styles.table}>{children}</table>
    </div>
  );
}
