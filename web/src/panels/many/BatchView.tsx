import { useQueryClient } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ApiProblem, asProblem } from '../../api/problem';
import { Button } from '../../components/Button';
import { Card } from '../../components/Card';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Progress } from '../../components/Progress';
import { Skeleton } from '../../components/Skeleton';
import { download, stem } from '../../lib/download';
import { useNumbers } from '../../lib/numbers';
import { cancel, isFinished, result, useBatch, useRows, type Batch, type Form } from './batches';
import styles from './BatchView.module.css';
import { Detail } from './Detail';
import { Filters } from './Filters';
import { Gallery } from './Gallery';
import type { RecentBatch } from './recent';
import { EVERYTHING, filtered, sorted, type Order, type Row } from './rows';
import type { PictureSource } from './sources';
import { Statistics } from './Statistics';
import { RemoveDialog } from './RemoveDialog';

interface BatchViewProps {
  batch: RecentBatch;
  source: PictureSource | null;
  /** It was removed, or is not there. */
  onGone: () => void;
}

const SUFFIX: Record<Form, string> = { csv: '.csv', json: '.jsonl', coco: '-coco.json' };

/** How a batch stands, and what came out of it. */
export function BatchView({ batch: { id, name, task }, source, onGone }: BatchViewProps) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const batch = useBatch(id);
  const isDone = batch.data?.status === 'done';
  const rows = useRows(id, isDone);
  const [refusal, setRefusal] = useState<ApiProblem | null>(null);
  const [isRemoving, setRemoving] = useState(false);

  const act = (work: () => Promise<void>) => {
    setRefusal(null);
    work().catch((error: unknown) => setRefusal(asProblem(error)));
  };
  const stop = () =>
    act(async () => {
      const left = await cancel(id);
      if (left) queries.setQueryData(['batch', id], left);
      else onGone();
    });
  const save = (form: Form) =>
    act(async () => download(await result(id, form), `${stem(name)}-${task}${SUFFIX[form]}`));

  const problem = batch.error ?? rows.error;
  const isUnknown = problem instanceof ApiProblem && problem.code === 'unknown_batch';
  return (
    <div className={styles.batch}>
      {refusal && <ProblemMessage problem={refusal} />}
      {problem && (
        <ProblemMessage problem={asProblem(problem)}>
          <div className={styles.buttons}>
            {isUnknown ? (
              <Button small icon="trash" onPress={onGone}>
                {t('many.forget')}
              </Button>
            ) : (
              <Button small icon="retry" onPress={() => void (batch.error ? batch.refetch() : rows.refetch())}>
                {t('app.retry')}
              </Button>
            )}
          </div>
        </ProblemMessage>
      )}
      {batch.isPending && !problem && <Skeleton height={120} />}
      {batch.data && !isUnknown && (
        <Card title={name} aside={t(`task.${task}`, { defaultValue: task })}>
          <State batch={batch.data} />
          <div className={styles.buttons}>
            {isDone && (
              <div className={styles.buttons} role="group" aria-label={t('many.save')}>
                <Button small icon="download" onPress={() => save('csv')}>
                  CSV
                </Button>
                <Button small onPress={() => save('json')}>
                  {t('many.json_lines')}
                </Button>
                {task !== 'classification' && (
                  <Button small onPress={() => save('coco')}>
                    {t('many.coco')}
                  </Button>
                )}
              </div>
            )}
            {isFinished(batch.data) ? (
              <div className={styles.apart}>
                <Button small kind="quiet" icon="trash" onPress={() => setRemoving(true)}>
                  {t('many.remove')}
                </Button>
              </div>
            ) : (
              <Button small icon="close" onPress={stop}>
                {t('app.cancel')}
              </Button>
            )}
          </div>
        </Card>
      )}
      {isRemoving && <RemoveDialog name={name} onRemove={stop} onClose={() => setRemoving(false)} />}
      {isDone && rows.isPending && <Skeleton height={420} />}
      {isDone && rows.data && <Results rows={rows.data} task={task} source={source} />}
    </div>
  );
}

/** How far it is, in a bar, a rate and words. */
function State({ batch }: { batch: Batch }) {
  const { t } = useTranslation();
  const { status, done, total, failures, skipped, images_per_s: rate, eta_s: eta, error } = batch;
  const { count, tenths, duration } = useNumbers();
  const facts = [
    t('many.done_of', { done: count(done), total: count(total) }),
    rate !== null && rate > 0 && t('many.rate', { rate: tenths(rate) }),
    !isFinished(batch) && eta !== null && t('many.eta', { time: duration(eta) }),
    failures > 0 && t('many.num_failed', { count: failures }),
    skipped > 0 && t('many.num_skipped', { count: skipped }),
    ...batch.models,
  ].filter(Boolean);
  return (
    <>
      {/* There before there is something to say: else not every screen reader says it. */}
      <p role="status" className={isFinished(batch) ? styles.status : 'visually-hidden'} data-status={status}>
        {isFinished(batch) ? t(`many.status.${status}`) : ''}
      </p>
      {!isFinished(batch) && (
        <Progress
          label={t(`many.status.${status}`)}
          {...(status === 'running' && total > 0 ? { value: done / total } : {})}
        />
      )}
      {error && <p lang="en">{error}</p>}
      <ul className={styles.facts}>
        {facts.map((fact) => (
          <li key={String(fact)}>{fact}</li>
        ))}
      </ul>
    </>
  );
}

function Results({ rows, task, source }: { rows: readonly Row[]; task: string; source: PictureSource | null }) {
  const { t, i18n } = useTranslation();
  const [filter, setFilter] = useState(EVERYTHING);
  const [order, setOrder] = useState<Order>('unsure');
  const [open, setOpen] = useState<number | null>(null);
  const shown = useMemo(
    () => sorted(filtered(rows, filter), order, i18n.language, filter),
    [rows, filter, order, i18n.language],
  );
  const row = open === null ? undefined : shown[open];
  const last = shown.length - 1;
  return (
    <div className={styles.results}>
      <section className={styles.main} aria-label={t('many.results')}>
        <Filters rows={rows} filter={filter} onFilter={setFilter} order={order} onOrder={setOrder} />
        <p className={styles.count} role="status" data-testid="shown">
          {t('many.shown', { count: shown.length, total: rows.length })}
          {!source && ` · ${t('many.pictures_gone')}`}
        </p>
        {shown.length > 0 ? (
          <Gallery
            key={`${filter.subject} ${order}`}
            rows={shown}
            filter={filter}
            source={source}
            onOpen={setOpen}
          />
        ) : (
          <p className={styles.none}>{t('many.none_shown')}</p>
        )}
      </section>
      <Statistics rows={rows} />
      {row && open !== null && (
        <Detail
          row={row}
          task={task}
          source={source}
          onPrevious={open > 0 ? () => setOpen(open - 1) : null}
          onNext={open < last ? () => setOpen(open + 1) : null}
          onClose={() => setOpen(null)}
        />
      )}
    </div>
  );
}
