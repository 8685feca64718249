import { useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { ApiProblem } from '../../api/problem';
import { Button, Toggle } from '../../components/Button';
import { Card } from '../../components/Card';
import { ProblemMessage } from '../../components/ProblemMessage';
import { ImageStage, type StageHandle } from '../../components/stage/ImageStage';
import { usePicture } from '../../components/stage/usePicture';
import { useBlobUrl } from '../../components/useBlobUrl';
import { useNumbers } from '../../lib/numbers';
import { startEdit, undone, withBox, removed, type Edit } from './boxEdit';
import { BoxList, BoxStage } from './BoxEditor';
import { ClassChoice } from './ClassChoice';
import { firstBoxes, lastSaid, saidClass, type Item, type Label } from './items';
import styles from './Label.module.css';
import { useJudgeKeys } from './useJudgeKeys';

export type Verdict = 'right' | 'wrong' | 'corrected';

interface TaskProps {
  item: Item;
  image: Blob | null;
  imageError: ApiProblem | null;
  /** Asks for the picture again. */
  onReload: () => void;
  classes: readonly string[];
  point: Readonly<Record<string, unknown>>;
  hasKeys: boolean;
  isBusy: boolean;
  /** Something was done in this list before. */
  isResumed: boolean;
  onJudge: (verdict: Verdict, label: Label | null) => void;
  onSkip: () => void;
  /** Goes a step back: takes the verdict before this one back, or shows what was skipped; null where there is none. */
  onUndo: (() => void) | null;
  /** Takes back what was said of this one before. */
  onTakeBack: () => void;
}

/** One prediction: its picture, what the model said, and what is to be said of it. */
export function Task(props: TaskProps) {
  const { item, image, imageError, onReload, classes, point, hasKeys, isBusy, isResumed, onJudge, onSkip, ...steps } = props;
  const { t } = useTranslation();
  const { prediction, reason } = item;
  const hasBoxes = Array.isArray(prediction.result.detections);
  const size = useMemo(() => ({ width: prediction.width, height: prediction.height }), [prediction]);
  const picture = usePicture(useBlobUrl(image));
  const [edit, setEdit] = useState<Edit>(() => startEdit(hasBoxes ? firstBoxes(prediction, point) : []));
  const [newClass, setNewClass] = useState(classes[0] ?? '');
  const [takesTouch, setTakesTouch] = useState(false);
  const scores = useMemo(
    () => new Map((prediction.result.ranked ?? []).map((entry) => [entry.class, entry.score])),
    [prediction],
  );
  const stage = useRef<StageHandle>(null);
  const toPicture = () => stage.current?.focus();
  const said = lastSaid(prediction);
  const { percent } = useNumbers();
  const selected = edit.selected === null ? undefined : edit.boxes[edit.selected];
  const isChanged = edit.past.length > 0;

  // What was said before is kept by going on: to say that the model was right, choose its class, or take it back.
  const isKept = said !== null && !isChanged;
  const accept = () => {
    if (hasBoxes && isChanged) onJudge('corrected', edit.boxes);
    else if (isKept) onSkip();
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
    // Who has come here by the menu, or has just judged, goes on with this picture. After a fresh load nothing has the
    // focus: Tab then begins at the page's top, and the keys work all the same.
    const { activeElement } = document;
    if (activeElement?.closest('main') || (isResumed && activeElement === document.body)) stage.current?.focus();
    // eslint-disable-next-line react-hooks/exhaustive-deps -- when it comes, and not again
  }, []);
  const undo = isChanged ? () => setEdit(undone(edit)) : steps.onUndo;
  useJudgeKeys(hasKeys && !isBusy, classes, {
    onClass: choose,
    onAccept: accept,
    onWrong: () => onJudge('wrong', null),
    onSkip,
    onUndo: undo,
    onRemove: edit.selected === null ? null : () => setEdit(removed(edit, edit.selected ?? 0)),
    onDeselect: edit.selected === null ? null : () => setEdit({ ...edit, selected: null }),
  });

  const answer = prediction.top_class ?? t('label.nothing_found');
  const shared = { size, edit, classes, newClass, onEdit: setEdit };
  const accepts = hasBoxes && isChanged ? 'label.save' : isKept ? 'label.keep' : 'label.right';
  return (
    <div className={styles.work}>
      <div className={styles.left}>
        <div className={styles.stage}>
          {hasBoxes ? (
            <BoxStage {...shared} image={picture.image} takesTouch={takesTouch} stage={stage} />
          ) : (
            <ImageStage
              ref={stage}
              source={picture.image}
              size={size}
              label={t('label.one_picture', { class: answer })}
            />
          )}
          {hasBoxes && (
            <div className={styles.touch}>
              <Toggle icon="tag" isSelected={takesTouch} onChange={setTakesTouch}>
                {t('label.draw')}
              </Toggle>
            </div>
          )}
        </div>
        <div className={styles.actions}>
          <Button kind="primary" icon="check" isDisabled={isBusy} onPress={accept}>
            {t(accepts)}
          </Button>
          <Button kind="danger" isDisabled={isBusy} onPress={() => onJudge('wrong', null)}>
            {t(hasBoxes ? 'label.wrong_boxes' : 'label.wrong')}
          </Button>
          <Button kind="quiet" isDisabled={isBusy} onPress={onSkip}>
            {t('label.skip')}
          </Button>
          <Button
            kind="quiet"
            icon="retry"
            isDisabled={isBusy || !undo}
            onPress={({ pointerType }) => {
              undo?.();
              if (pointerType !== 'keyboard') toPicture();
            }}
          >
            {t('label.undo')}
          </Button>
        </div>
      </div>
      <div className={styles.side}>
        {imageError && <ProblemMessage problem={imageError} onRetry={onReload} />}
        {picture.status === 'undecodable' && <p role="alert">{t('stage.undecodable')}</p>}
        <Card title={t(hasBoxes ? 'label.question_boxes' : 'label.question')} aside={`${prediction.model} ${prediction.version}`}>
          <p>
            {prediction.confidence === null
              ? t('label.nothing_found')
              : t(hasBoxes ? 'label.answered_boxes' : 'label.answered', {
                  class: answer,
                  score: percent(prediction.confidence),
                })}
            {reason && ` ${t(`label.reasons.${reason}`)}`}
          </p>
          {said && (
            <div className={styles.said} data-testid="before">
              <p>
                {Array.isArray(said.label)
                  ? t('label.before.boxes', { count: said.label.length })
                  : t(`label.before.${said.verdict}`, { label: said.label ?? '' })}
              </p>
              <Button
                small
                icon="retry"
                isDisabled={isBusy}
                onPress={() => {
                  steps.onTakeBack();
                  toPicture();
                }}
              >
                {t('label.take_back')}
              </Button>
            </div>
          )}
          <ClassChoice
            classes={classes}
            value={hasBoxes ? (selected?.class ?? null) : said ? saidClass(prediction) : prediction.top_class}
            scores={hasBoxes ? undefined : scores}
            hasKeys={hasKeys}
            onChoose={(name) => {
              choose(name);
              toPicture();
            }}
          />
          {hasBoxes ? (
            <>
              {!selected && <p className={styles.note}>{t('label.new_class', { class: newClass })}</p>}
              <BoxList
                {...shared}
                onDone={() => {
                  toPicture();
                  // A box that was chosen in the list is to be moved: fingers may, from now on.
                  setTakesTouch(true);
                }}
              />
            </>
          ) : (
            <p className={styles.note}>{t('label.about_wrong')}</p>
          )}
          {hasKeys && <p className={`${styles.note} ${styles.keyboard}`}>{t(hasBoxes ? 'label.help_boxes' : 'label.help')}</p>}
        </Card>
      </div>
    </div>
  );
}
