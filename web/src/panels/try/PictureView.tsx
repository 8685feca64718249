import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { Model } from '../../api/client';
import { Button, Toggle } from '../../components/Button';
import { Card } from '../../components/Card';
import { Icon } from '../../components/Icon';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Progress } from '../../components/Progress';
import { pictureWithBoxes } from '../../components/stage/drawBoxes';
import { ImageStage } from '../../components/stage/ImageStage';
import { usePicture } from '../../components/stage/usePicture';
import { AS_THE_MODEL } from '../../lib/boxes';
import { download, downloadText, stem } from '../../lib/download';
import { useNumbers } from '../../lib/numbers';
import { ClassificationCard } from './ClassificationCard';
import { DetectionCard } from './DetectionCard';
import styles from './PictureView.module.css';
import { csvOf, jsonOf, predictionOf } from './results';
import { limitOf } from './sizes';
import type { Picture } from './store';
import { useFound } from './useFound';
import { useWhy, WhyButtons, WhyStrength } from './Why';

interface PictureViewProps {
  picture: Picture;
  tasks: readonly string[];
  models: readonly Model[];
  onCancel: () => void;
  onRetry: () => void;
  onRemove: () => void;
}


/** One picture and everything that is said of it. */
export function PictureView(props: PictureViewProps) {
  const { picture, tasks, models } = props;
  const { t, i18n } = useTranslation();
  const image = usePicture(picture.url);
  const [view, setView] = useState(AS_THE_MODEL);
  const [showLabels, setShowLabels] = useState(true);
  const [highlighted, setHighlighted] = useState<number | null>(null);
  const why = useWhy(picture);

  const answered = tasks.filter((task) => predictionOf(picture, task));
  const boxTask = answered.find((task) => predictionOf(picture, task)?.detections);
  const candidates = boxTask === undefined ? null : predictionOf(picture, boxTask)?.detections;
  const point = models.find(({ task }) => task === boxTask)?.operating_point;
  const { found, boxes } = useFound(candidates, point, view, i18n.language);

  const size = image.size ?? predictionSize(picture, answered);
  const name = stem(picture.file.name);
  const label = t('try.stage_label', { name: picture.file.name });
  return (
    <div className={styles.view} data-cards={answered.length} data-pending={picture.status === 'done' ? undefined : ''}>
      <div className={styles.left}>
        <div className={styles.stage} data-empty={image.status === 'undecodable' ? '' : undefined}>
          {image.status === 'undecodable' ? (
            <div className={styles.undecodable}>
              <Icon name="image" size={32} />
              <p>{t(picture.status === 'failed' ? 'stage.undecodable' : 'stage.undecodable_yet')}</p>
            </div>
          ) : (
            <ImageStage
              source={image.image}
              size={size}
              boxes={boxes}
              showLabels={showLabels}
              highlighted={highlighted !== null && highlighted < boxes.length ? highlighted : null}
              onHighlight={setHighlighted}
              overlay={why.overlay}
              overlayOpacity={why.strength}
              label={boxTask === undefined ? label : `${label}. ${t('try.stage_boxes', { count: boxes.length })}`}
            />
          )}
        </div>
        {answered.length > 0 && (
          <div className={styles.tools}>
            {boxTask !== undefined && (
              <Toggle icon="tag" isSelected={showLabels} onChange={setShowLabels}>
                {t('try.labels')}
              </Toggle>
            )}
            <WhyButtons why={why} tasks={answered} />
            <div className={styles.save} role="group" aria-label={t('try.save')}>
              <Button
                small
                icon="download"
                isDisabled={!image.image}
                onPress={() => {
                  if (!image.image) return;
                  const overlay = why.overlay && { source: why.overlay, opacity: why.strength };
                  void pictureWithBoxes(image.image, image.size, boxes, showLabels, overlay).then((blob) =>
                    download(blob, `${name}-visionloop.png`),
                  );
                }}
              >
                {t('try.save_picture')}
              </Button>
              <Button small onPress={() => downloadText(jsonOf(picture, found), `${name}.json`, 'application/json')}>
                {t('try.save_json')}
              </Button>
              <Button small onPress={() => downloadText(csvOf(picture, found), `${name}.csv`, 'text/csv')}>
                {t('try.save_csv')}
              </Button>
            </div>
          </div>
        )}
        <WhyStrength why={why} />
      </div>
      <div className={styles.results}>
        <Status {...props} />
        {answered.map((task) => {
          const answer = picture.answers[task];
          const prediction = predictionOf(picture, task);
          if (!answer || !prediction) return null;
          return prediction.detections ? (
            <DetectionCard
              key={task}
              answer={answer}
              candidates={prediction.detections}
              found={found}
              model={models.find((other) => other.task === task)}
              view={view}
              onView={setView}
              highlighted={highlighted}
              onHighlight={setHighlighted}
            />
          ) : (
            <ClassificationCard key={task} answer={answer} ranked={prediction.ranked ?? []} />
          );
        })}
      </div>
    </div>
  );
}

/** How the request stands, while there is something to say about it. */
function Status({ picture, onCancel, onRetry, onRemove }: PictureViewProps) {
  const { t } = useTranslation();
  const { status, problem, progress, file } = picture;
  const limit = problem && limitOf(problem);
  const { bytes: size } = useNumbers();
  const announcement =
    status === 'done'
      ? t('try.announce_done', { name: file.name })
      : status === 'failed'
        ? t('try.announce_failed', { name: file.name })
        : '';
  return (
    <>
      <p className="visually-hidden" role="status">
        {announcement}
      </p>
      {status === 'failed' && problem && (
        <ProblemMessage problem={problem}>
          {limit && <p>{t('try.too_large', { size: size(file.size), limit: size(limit) })}</p>}
          <div className={styles.buttons}>
            {problem.mayPass && (
              <Button small icon="retry" onPress={onRetry}>
                {t('app.retry')}
              </Button>
            )}
            <Button small kind={problem.mayPass ? 'quiet' : 'plain'} icon="trash" onPress={onRemove}>
              {t('try.remove_this')}
            </Button>
          </div>
        </ProblemMessage>
      )}
      {(status === 'waiting' || status === 'sending' || status === 'working') && (
        <Card title={file.name} aside={size(file.size)}>
          <Progress label={t(`try.${status}`)} {...(status === 'sending' ? { value: progress } : {})} />
          <div className={styles.buttons}>
            <Button small icon="close" onPress={onCancel}>
              {t('app.cancel')}
            </Button>
          </div>
        </Card>
      )}
      {status === 'cancelled' && (
        <Card title={file.name} aside={t('try.cancelled')}>
          <div className={styles.buttons}>
            <Button small icon="retry" onPress={onRetry}>
              {t('app.retry')}
            </Button>
            <Button small kind="quiet" icon="trash" onPress={onRemove}>
              {t('try.remove_this')}
            </Button>
          </div>
        </Card>
      )}
    </>
  );
}

function predictionSize(picture: Picture, answered: readonly string[]) {
  const [task] = answered;
  return (task === undefined ? null : predictionOf(picture, task))?.image ?? { width: 1, height: 1 };
}

