import type { ReactNode } from 'react';

import styles from './PageHead.module.css';

interface PageHeadProps {
  title: string;
  intro?: string;
  /** Leaves the introduction out on phones, where the work itself needs the room. */
  isBrief?: boolean;
  children?: ReactNode;
}

/** A panel's title, what it is for, and its own controls at the right. */
export function PageHead({ title, intro, isBrief = false, children }: PageHeadProps) {
  return (
    <header className={styles.head} data-brief={isBrief ? '' : undefined}>
      <div>
        <h1>{title}</h1>
        {intro !== undefined && <p>{intro}</p>}
      </div>
      {children !== undefined && <div className={styles.controls}>{children}</div>}
    </header>
  );
}
