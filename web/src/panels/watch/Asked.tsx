import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import { ApiProblem, asProblem } from '../../api/problem';
import { Card } from '../../components/Card';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Skeleton } from '../../components/Skeleton';
import { Nothing } from './ChartCard';

interface AskedProps<T> {
  query: Pick<UseQueryResult<T>, 'data' | 'error' | 'refetch'>;
  titleKey: string;
  children: (data: T) => ReactNode;
}

/** A part of its own: what fails, or may not be seen, takes no other along. */
export function Asked<T>({ query, titleKey, children }: AskedProps<T>) {
  const { t } = useTranslation();
  const { data, error } = query;
  const isDenied = isForbidden(error);
  const trouble = error && !isDenied && <ProblemMessage problem={asProblem(error)} onRetry={() => void query.refetch()} />;
  if (data !== undefined && !isDenied) {
    // What was known stays, with whatever is open in it: a connection that is lost for a moment takes nothing away.
    return (
      <>
        {trouble}
        {children(data)}
      </>
    );
  }
  if (!error) return <Skeleton height={160} />;
  return <Card title={t(titleKey)}>{isDenied ? <Nothing icon="key" text={t('watch.no_right')} /> : trouble}</Card>;
}

/** Whether another key is needed to see it. */
export function isForbidden(error: unknown): boolean {
  return error instanceof ApiProblem && error.code === 'role_too_low';
}
