import type { TFunction } from 'i18next';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import type { TaskAnswer } from '../../api/client';
import styles from './Footnote.module.css';

/** What the numbers of a card mean, and how long they took. */
export function Footnote({ answer, children }: { answer: TaskAnswer; children?: ReactNode }) {
  const { t, i18n } = useTranslation();
  const number = new Intl.NumberFormat(i18n.language, { maximumSignificantDigits: 2 });
  const { total, inference } = answer.timings_ms;
  return (
    <footer className={styles.note}>
      {children !== undefined && <p>{children}</p>}
      <p>{t('try.timing', { total: number.format(total), inference: number.format(inference) })}</p>
    </footer>
  );
}

/** Which model answered. */
export function modelName(t: TFunction, { model }: TaskAnswer): string {
  const name = t('try.model', { name: model.name, version: model.version });
  return model.role === 'canary' ? `${name} (${t('try.canary')})` : name;
}
