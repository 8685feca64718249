import { useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ApiProblem } from '../../api/problem';
import { Button } from '../../components/Button';
import { Card } from '../../components/Card';
import { ProblemMessage } from '../../components/ProblemMessage';
import { ImageStage } from '../../components/stage/ImageStage';
import { usePicture } from '../../components/stage/usePicture';
import { useBlobUrl } from '../../components/useBlobUrl';
import { startEdit, undone, withBox, removed, type Edit } from './boxEdit';
import { BoxList, BoxStage } from './BoxEditor';
import { ClassChoice } from './ClassChoice';
import { firstBoxes, type Item, type Label } from './items';
import { isPressable, isTyping, numberKeys } from './keys';
import styles from './Label.module.css';

export type Verdict = 'right' | 'wrong' | 'corrected';

interface TaskProps {
  item: Item;
  image: Blob | null;
  imageError: ApiProblem | null;
  classes: readonly string[];
  point: Readonly<Record<string, unknown>>;
  hasKeys: boolean;
  isBusy: boolean;
  onJudge: (verdict: Verdict, label: Label | null) => void;
  onSkip: () => void;
  /** Takes the verdict before this one back; null where there is none. */
  onUndo: (() => void) | null;
}

/** One prediction: its picture, what the model said, and what is to be said of it. */
export function Task({ item, image, imageError, classes, point, hasKeys, isBusy, onJudge, onSkip, onUndo }: TaskProps) {
  const { t, i18n } = useTranslation();
  const { prediction, reason } = item;
  const hasBoxes = Array.isArray(prediction.result.detections);
  const size = useMemo(() => ({ width: prediction.width, height: prediction.height }), [prediction]);
  const picture = usePicture(useBlobUrl(image));
  const [edit, setEdit] = useState<Edit>(() => startEdit(hasBoxes ? firstBoxes(prediction, point) : []));
  const [newClass, setNewClass] = useState(classes[0] ?? '');
  const scores = useMemo(
    () => new Map((prediction.result.ranked ?? []).map((entry) => [entry.class, entry.score])),
    [prediction],
  );
  const root = useRef<HTMLDivElement>(null);
  const earlier = prediction.feedback.at(-1);
  const percent = new Intl.NumberFormat(i18n.language, { style: 'percent' });
  const selected = edit.selected === null ? undefined : edit.boxes[edit.selected];
  const isChanged = edit.past.length > 0;

  const accept = () => {
    if (hasBoxes && isChanged) onJudge('corrected', edit.boxes);
    else onJudge('right', null);
  };
  const choose = (name: string) => {
    if (!hasBoxes) {
      if (name === prediction.top_class) onJudge('right', null);
      else onJudge('corrected', name);
      return;
    }
    setNewClass(name);
    if (edit.selected !== null && selected?.class !== name) setEdit(withBox(edit, edit.selected, { class: name }));
  };
  useEffect(() => {
    // What had the focus may have gone with the picture before; without this, Tab would begin at the page's top.
    if (document.activeElement === document.body) root.current?.focus({ preventScroll: true });
  }, []);
  const undo = isChanged ? () => setEdit(undone(edit)) : onUndo;

  useEffect(() => {
    if (!hasKeys) return;
    const keys = numberKeys(classes);
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.altKey || isTyping(event.target) || isBusy) return;
      const isUndo = (event.ctrlKey || event.metaKey) && event.key === 'z';
      if ((event.ctrlKey || event.metaKey) && !isUndo) return;
      const named = keys.get(event.key);
      const actions: Record<string, (() => void) | null> = {
        s: onSkip,
        u: undo,
        w: () => onJudge('wrong', null),
        Enter: isPressable(event.target) ? null : accept,
        Delete: edit.selected === null ? null : () => setEdit(removed(edit, edit.selected ?? 0)),
        Backspace: edit.selected === null ? null : () => setEdit(removed(edit, edit.selected ?? 0)),
        Escape: edit.selected === null ? null : () => setEdit({ ...edit, selected: null }),
      };
      const action = isUndo ? undo : named === undefined ? actions[event.key] : () => choose(named);
      if (!action) return;
      event.preventDefault();
      event.stopPropagation();
      action();
    };
    // Before the page's own: a button that has the focus would keep keys to itself.
    window.addEventListener('keydown', onKeyDown, true);
    return () => window.removeEventListener('keydown', onKeyDown, true);
  });

  const answer = prediction.top_class ?? t('label.nothing_found');
  const shared = { size, edit, classes, newClass, onEdit: setEdit };
  return (
    <div ref={root} tabIndex={-1} className={styles.work}>
      <div className={styles.stage}>
        {hasBoxes ? (
          <BoxStage image={picture.image} {...shared} />
        ) : (
          <ImageStage source={picture.image} size={size} label={t('label.one_picture', { class: answer })} />
        )}
      </div>
      <div className={styles.side}>
        {imageError && <ProblemMessage problem={imageError} />}
        <Card title={t(hasBoxes ? 'label.question_boxes' : 'label.question')} aside={`${prediction.model} ${prediction.version}`}>
          <p>
            {prediction.confidence === null
              ? t('label.nothing_found')
              : t(hasBoxes ? 'label.answered_boxes' : 'label.answered', {
                  class: answer,
                  score: percent.format(prediction.confidence),
                })}
            {reason && ` ${t(`label.reasons.${reason}`)}`}
          </p>
          {earlier && (
            <p className={styles.note}>
              {t('label.earlier', {
                verdict: t(`label.verdicts.${earlier.verdict}`),
                label: typeof earlier.label === 'string' ? earlier.label : '',
              })}
            </p>
          )}
          <ClassChoice
            classes={classes}
            value={hasBoxes ? (selected?.class ?? newClass) : prediction.top_class}
            scores={hasBoxes ? undefined : scores}
            hasKeys={hasKeys}
            onChoose={choose}
          />
          {hasBoxes && <BoxList {...shared} />}
          <div className={styles.buttons}>
            <Button kind="primary" icon="check" isDisabled={isBusy} onPress={accept}>
              {t(hasBoxes && isChanged ? 'label.save' : 'label.right')}
            </Button>
            <Button kind="danger" isDisabled={isBusy} onPress={() => onJudge('wrong', null)}>
              {t('label.wrong')}
            </Button>
            <Button kind="quiet" isDisabled={isBusy} onPress={onSkip}>
              {t('label.skip')}
            </Button>
            <Button kind="quiet" icon="retry" isDisabled={isBusy || !undo} onPress={() => undo?.()}>
              {t('label.undo')}
            </Button>
          </div>
          {hasKeys && <p className={styles.note}>{t(hasBoxes ? 'label.help_boxes' : 'label.help')}</p>}
        </Card>
      </div>
    </div>
  );
}
