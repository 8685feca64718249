import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { asProblem, type ApiProblem } from '../../api/problem';
import { isAbort } from '../../api/upload';
import { Toggle } from '../../components/Button';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Progress } from '../../components/Progress';
import { Slider } from '../../components/Slider';
import { usePicture } from '../../components/stage/usePicture';
import { explain } from './ask';
import type { Picture } from './store';
import styles from './Why.module.css';

/** The reasons of an answer: which task's, and how far asking for them is. */
type Reasons =
  | { readonly task: string; readonly status: 'asking' }
  | { readonly task: string; readonly status: 'shown'; readonly url: string }
  | { readonly task: string; readonly status: 'failed'; readonly problem: ApiProblem };

export interface Why {
  reasons: Reasons | null;
  overlay: HTMLImageElement | null;
  strength: number;
  setStrength: (strength: number) => void;
  toggle: (task: string) => void;
}

const STRENGTH = 0.85;

/** The picture that shows what an answer rests on; asked for when wanted, forgotten with the picture. */
export function useWhy({ id, file }: Picture): Why {
  const [held, setHeld] = useState<{ id: number; reasons: Reasons } | null>(null);
  const [strength, setStrength] = useState(STRENGTH);
  const asking = useRef<AbortController | null>(null);
  const reasons = held?.id === id ? held.reasons : null;
  const url = reasons?.status === 'shown' ? reasons.url : null;
  const overlay = usePicture(url);

  useEffect(() => {
    if (url !== null) return () => URL.revokeObjectURL(url);
    return undefined;
  }, [url]);
  useEffect(
    () => () => {
      asking.current?.abort();
      // Its address ends with it: who comes back to the picture asks again.
      setHeld(null);
    },
    [id],
  );

  const toggle = (task: string) => {
    asking.current?.abort();
    if (reasons?.task === task && reasons.status !== 'failed') {
      setHeld(null);
      return;
    }
    const abort = new AbortController();
    asking.current = abort;
    setHeld({ id, reasons: { task, status: 'asking' } });
    explain(file, task, abort.signal).then(
      (blob) => setHeld({ id, reasons: { task, status: 'shown', url: URL.createObjectURL(blob) } }),
      (error: unknown) => {
        if (isAbort(error)) return;
        setHeld({ id, reasons: { task, status: 'failed', problem: asProblem(error) } });
      },
    );
  };
  return { reasons, overlay: url === null ? null : overlay.image, strength, setStrength, toggle };
}

/** A button for each task that answered. */
export function WhyButtons({ why, tasks }: { why: Why; tasks: readonly string[] }) {
  const { t } = useTranslation();
  return tasks.map((task) => (
    <Toggle
      key={task}
      icon="bulb"
      isSelected={why.reasons?.task === task && why.reasons.status !== 'failed'}
      onChange={() => why.toggle(task)}
    >
      {tasks.length === 1 ? t('try.why') : t('try.why_task', { task: t(`task.${task}`, { defaultValue: task }) })}
    </Toggle>
  ));
}

/** How strongly the reasons cover the picture; or that they are looked for. */
export function WhyStrength({ why: { reasons, strength, setStrength } }: { why: Why }) {
  const { t } = useTranslation();
  if (!reasons) return null;
  if (reasons.status === 'failed') return <ProblemMessage problem={reasons.problem} />;
  return (
    <div className={styles.why}>
      {reasons.status === 'asking' ? (
        <Progress label={t('try.why_busy')} />
      ) : (
        <>
          <p>{t('try.why_about')}</p>
          <Slider label={t('try.why_strength')} value={strength} onChange={setStrength} />
        </>
      )}
    </div>
  );
}
