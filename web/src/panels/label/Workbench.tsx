import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { asProblem, type ApiProblem } from '../../api/problem';
import { Button } from '../../components/Button';
import { EmptyState } from '../../components/EmptyState';
import { ProblemMessage } from '../../components/ProblemMessage';
import { imageQuery, say, takeBack, type Item, type Label, type Prediction } from './items';
import styles from './Label.module.css';
import { Task, type Verdict } from './Task';
import { useJudgeKeys } from './useJudgeKeys';

interface WorkbenchProps {
  items: readonly Item[];
  classes: readonly string[];
  point: Readonly<Record<string, unknown>>;
  hasKeys: boolean;
  /** Fetch the next ones. */
  onAgain: () => void;
}

/** A place that was left, and how. */
interface Step {
  readonly index: number;
  readonly isSkip: boolean;
}

/** One prediction after another. */
export function Workbench({ items, classes, point, hasKeys, onAgain }: WorkbenchProps) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [index, setIndex] = useState(0);
  const [steps, setSteps] = useState<readonly Step[]>([]);
  /** What is said of those of which something was taken back, by id. */
  const [feedback, setFeedback] = useState<ReadonlyMap<string, Prediction['feedback']>>(new Map());
  const [isBusy, setBusy] = useState(false);
  const [said, setSaid] = useState('');
  const [problem, setProblem] = useState<ApiProblem | null>(null);
  const item = useMemo(() => withFeedback(items[index], feedback), [items, index, feedback]);
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

  const act = <T,>(work: () => Promise<T>, then: (result: T) => void) => {
    if (isBusy) return;
    setBusy(true);
    setProblem(null);
    work()
      .then(then, (error: unknown) => setProblem(asProblem(error)))
      .finally(() => setBusy(false));
  };
  const judge = (verdict: Verdict, label: Label | null) => {
    if (!item) return;
    act(
      () => say(item.prediction.id, verdict, label),
      () => {
        const about = typeof label === 'string' ? label : t('label.num_boxes', { count: label?.length ?? 0 });
        setSaid(t(`label.said.${verdict}`, { label: about }));
        setSteps([...steps, { index, isSkip: false }]);
        setIndex(index + 1);
      },
    );
  };
  const forget = (id: string, then: () => void) =>
    act(
      () => takeBack(id),
      (left) => {
        setFeedback(new Map(feedback).set(id, left));
        setSaid(t('label.taken_back'));
        then();
      },
    );
  const last = steps.at(-1);
  const undo = () => {
    const id = last && items[last.index]?.prediction.id;
    if (last === undefined || id === undefined || isBusy) return;
    const goBack = () => {
      setSteps(steps.slice(0, -1));
      setIndex(last.index);
    };
    if (!last.isSkip) {
      forget(id, goBack);
      return;
    }
    setSaid(t('label.skipped_back'));
    goBack();
  };
  const skip = () => {
    setSaid('');
    setSteps([...steps, { index, isSkip: true }]);
    setIndex(index + 1);
  };
  const numSkipped = steps.filter(({ isSkip }) => isSkip).length;
  const numJudged = steps.length - numSkipped;

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
          key={`${item.prediction.id} ${item.prediction.feedback.length}`}
          item={item}
          image={image.data ?? null}
          imageError={image.error && asProblem(image.error)}
          onReload={() => void image.refetch()}
          classes={classes}
          point={point}
          hasKeys={hasKeys}
          isBusy={isBusy}
          isResumed={steps.length > 0 || said !== ''}
          onJudge={judge}
          onSkip={skip}
          onUndo={last === undefined ? null : undo}
          onTakeBack={() => forget(item.prediction.id, () => undefined)}
        />
      ) : (
        <div ref={end} tabIndex={-1}>
          <EndKeys isOn={hasKeys && !isBusy} onUndo={last === undefined ? null : undo} />
          <EmptyState
            icon="check"
            title={t('label.done_title')}
            text={[
              numJudged > 0 || numSkipped === 0 ? t('label.done_text', { count: numJudged }) : '',
              numSkipped > 0 ? t('label.done_skipped', { count: numSkipped }) : '',
            ].join(' ')}
          >
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

const NO_CLASSES: readonly string[] = [];

/** Behind the last picture the last step can be undone by its key as well. */
function EndKeys({ isOn, onUndo }: { isOn: boolean; onUndo: (() => void) | null }) {
  useJudgeKeys(isOn, NO_CLASSES, { onUndo });
  return null;
}

/** The item with what is said of it by now. */
function withFeedback(item: Item | undefined, feedback: ReadonlyMap<string, Prediction['feedback']>): Item | undefined {
  const known = item && feedback.get(item.prediction.id);
  return item && known ? { ...item, prediction: { ...item.prediction, feedback: known } } : item;
}
