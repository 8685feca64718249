import { useTranslation } from 'react-i18next';

import type { Version } from './history';
import styles from './Models.module.css';
import { checkWords, reasons } from './verdict';

/** What the gate said of a version and why, and everything it looked at. */
export function Verdict({ version: { verdict, dataset, dataset_hash: hash } }: { version: Version }) {
  const { t, i18n } = useTranslation();
  const words = (check: Parameters<typeof checkWords>[1]) => {
    const { text, isEnglish } = checkWords(t, check, i18n.language);
    return <span lang={isEnglish ? 'en' : undefined}>{text}</span>;
  };
  const decision = verdict?.decision ?? 'none';
  return (
    <div className={styles.verdict}>
      <p>
        {t('models.gate')}: <strong data-decision={decision}>{t(`models.decision.${decision}`)}</strong>.{' '}
        {t(`models.meaning.${decision}`)}
      </p>
      {verdict && reasons(verdict.checks).length > 0 && (
        <ul>
          {reasons(verdict.checks).map((check) => (
            <li key={check.name}>{words(check)}</li>
          ))}
        </ul>
      )}
      <details>
        <summary>{t('models.checks')}</summary>
        {verdict && (
          <ul aria-label={t('models.checks')}>
            {verdict.checks.map((check) => (
              <li key={check.name} data-passed={check.passed}>
                <strong>{t(check.passed ? 'models.passed' : 'models.failed')}:</strong> {words(check)}
              </li>
            ))}
          </ul>
        )}
        <p className={styles.note}>{t('models.dataset', { dataset, hash: hash.slice(0, 12) })}</p>
      </details>
    </div>
  );
}
