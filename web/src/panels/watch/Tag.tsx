import type { ReactNode } from 'react';

import styles from './Watch.module.css';

export type Tone = 'good' | 'warning' | 'bad' | 'neutral';

/** A word with a colour; the word alone says it too. */
export function Tag({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <span className={styles.tag} data-tone={tone}>
      {children}
    </span>
  );
}
