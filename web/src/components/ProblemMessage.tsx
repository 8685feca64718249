import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import { ApiProblem } from '../api/problem';
import { Button } from './Button';
import { Icon } from './Icon';
import styles from './ProblemMessage.module.css';

interface ProblemMessageProps {
  problem: ApiProblem;
  /** Offers to try again. */
  onRetry?: () => void;
  children?: ReactNode;
}

/** What was refused and what to do, in the visitor's language where the code is known, with the service's own words. */
export function ProblemMessage({ problem, onRetry, children }: ProblemMessageProps) {
  const { t, i18n } = useTranslation();
  const known = i18n.exists(`problems.${problem.code}`);
  const { where, expected, action } = problem.facts;
  const facts = [
    ['where', where],
    ['expected', expected],
    ['action', action],
  ].filter(([, text]) => text);
  return (
    <div className={styles.problem} role="alert">
      <Icon name="alert" />
      <div className={styles.body}>
        <p className={styles.what}>{known ? t(`problems.${problem.code}.what`) : problem.detail}</p>
        {known && <p>{t(`problems.${problem.code}.action`)}</p>}
        {problem.retryAfter !== null && <p>{t('problem.retry_after', { count: problem.retryAfter })}</p>}
        {facts.length > 0 && (
          <details className={styles.details}>
            <summary>{t('problem.details')}</summary>
            <dl>
              <Fact name={t('problem.detail')} text={problem.detail} />
              {facts.map(([name, text]) => (
                <Fact key={name} name={t(`problem.${name}`)} text={text ?? ''} />
              ))}
              <Fact name={t('problem.code')} text={`${problem.status} ${problem.code}`} />
              {problem.requestId && <Fact name={t('problem.request')} text={problem.requestId} />}
            </dl>
          </details>
        )}
        {onRetry && (
          <div>
            <Button small icon="retry" onPress={onRetry}>
              {t('app.retry')}
            </Button>
          </div>
        )}
        {children}
      </div>
    </div>
  );
}

function Fact({ name, text }: { name: string; text: string }) {
  return (
    <>
      <dt>{name}</dt>
      {/* The service speaks English. */}
      <dd lang="en">{text}</dd>
    </>
  );
}
