import type { TFunction } from 'i18next';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import type { TaskAnswer } from '../../api/client';
import { useNumbers } from '../../lib/numbers';
import styles from './Footnote.module.css';

/** What the numbers of a card mean, and how long they took. */
export function Footnote({ answer, children }: { answer: TaskAnswer; children?: ReactNode }) {
  const { t } = useTranslation();
  const { milliseconds } = useNumbers();
  const { total, inference } = answer.timings_ms;
  return (
    <footer className={styles.note}>
      {children !== undefined && <p>{children}</p>}
      <p>{t('try.timing', { total: milliseconds(total), inference: milliseconds(inference) })}</p>
    </footer>
  );
}

/** Which model answered. */
export function modelName(t: TFunction, { model }: TaskAnswer): string {
  const name = t('try.model', { name: model.name, version: model.version });
  return model.role === 'canary' ? `${name} (${t('try.canary')})` : name;
}
