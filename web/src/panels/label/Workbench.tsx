import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ApiProblem } from '../../api/problem';
import { Button } from '../../components/Button';
import { EmptyState } from '../../components/EmptyState';
import { ProblemMessage } from '../../components/ProblemMessage';
import { imageQuery, say, takeBack, type Item, type Label } from './items';
import styles from './Label.module.css';
import { Task, type Verdict } from './Task';

interface WorkbenchProps {
  items: readonly Item[];
  classes: readonly string[];
  point: Readonly<Record<string, unknown>>;
  hasKeys: boolean;
  /** Fetch the next ones. */
  onAgain: () => void;
}

/** One prediction after another. */
export function Workbench({ items, classes, point, hasKeys, onAgain }: WorkbenchProps) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [index, setIndex] = useState(0);
  /** Places that were judged, the latest last. */
  const [judged, setJudged] = useState<readonly number[]>([]);
  const [isBusy, setBusy] = useState(false);
  const [said, setSaid] = useState('');
  const [problem, setProblem] = useState<ApiProblem | null>(null);
  const item = items[index];
  const next = items[index + 1]?.prediction.id;
  const image = useQuery({ ...imageQuery(item?.prediction.id ?? ''), enabled: item !== undefined });
  const end = useRef<HTMLDivElement>(null);

  useEffect(() => {
    // The next picture is there when it is wanted.
    if (next !== undefined && image.isSuccess) queries.query(imageQuery(next)).catch(() => undefined);
  }, [queries, next, image.isSuccess]);
  useEffect(() => {
    if (!item) end.current?.focus();
  }, [item]);

  const act = (work: () => Promise<unknown>, then: () => void) => {
    if (isBusy) return;
    setBusy(true);
    setProblem(null);
    work()
      .then(then, (error: unknown) =>
        setProblem(error instanceof ApiProblem ? error : new ApiProblem('page_error', 0, String(error))),
      )
      .finally(() => setBusy(false));
  };
  const judge = (verdict: Verdict, label: Label | null) => {
    if (!item) return;
    act(
      () => say(item.prediction.id, verdict, label),
      () => {
        const about = typeof label === 'string' ? label : t('label.num_boxes', { count: label?.length ?? 0 });
        setSaid(t(`label.said.${verdict}`, { label: about }));
        setJudged([...judged, index]);
        setIndex(index + 1);
      },
    );
  };
  const last = judged.at(-1);
  const undo = () => {
    const id = last === undefined ? undefined : items[last]?.prediction.id;
    if (last === undefined || id === undefined) return;
    act(
      () => takeBack(id),
      () => {
        setSaid(t('label.taken_back'));
        setJudged(judged.slice(0, -1));
        setIndex(last);
      },
    );
  };
  const skip = () => {
    setSaid('');
    setIndex(index + 1);
  };

  return (
    <>
      {problem && <ProblemMessage problem={problem} />}
      <div className={styles.state}>
        <p role="status" data-testid="said">
          {said}
        </p>
        {item && <p className={styles.note}>{t('label.place', { place: index + 1, count: items.length })}</p>}
      </div>
      {item ? (
        <Task
          key={item.prediction.id}
          item={item}
          image={image.data ?? null}
          imageError={image.error instanceof ApiProblem ? image.error : null}
          classes={classes}
          point={point}
          hasKeys={hasKeys}
          isBusy={isBusy}
          onJudge={judge}
          onSkip={skip}
          onUndo={last === undefined ? null : undo}
        />
      ) : (
        <div ref={end} tabIndex={-1}>
          <EmptyState icon="check" title={t('label.done_title')} text={t('label.done_text', { count: judged.length })}>
            <div className={styles.buttons}>
              {last !== undefined && <Button onPress={undo}>{t('label.undo')}</Button>}
              <Button kind="primary" onPress={onAgain}>
                {t('label.more')}
              </Button>
            </div>
          </EmptyState>
        </div>
      )}
    </>
  );
}
