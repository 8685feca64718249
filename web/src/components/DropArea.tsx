import type { ReactNode } from 'react';

import styles from './DropArea.module.css';
import { Icon, type IconName } from './Icon';

interface DropAreaProps {
  icon: IconName;
  title: string;
  text: string;
  /** What was wrong with what came before. */
  fault?: string | undefined;
  /** Buttons for those who do not drop. */
  children: ReactNode;
}

/** Where files are asked for. */
export function DropArea({ icon, title, text, fault, children }: DropAreaProps) {
  return (
    <div className={styles.area}>
      <span className={styles.icon}>
        <Icon name={icon} size={32} />
      </span>
      <h2>{title}</h2>
      <p>{text}</p>
      {fault !== undefined && <p role="alert">{fault}</p>}
      <div className={styles.actions}>{children}</div>
    </div>
  );
}

/** Over the page while files are held over it. */
export function DropVeil({ text }: { text: string }) {
  return <div className={styles.veil}>{text}</div>;
}
