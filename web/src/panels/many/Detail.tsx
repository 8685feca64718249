import { useMemo } from 'react';
import { Heading } from 'react-aria-components';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { Button, IconButton } from '../../components/Button';
import { ModalDialog } from '../../components/ModalDialog';
import { ImageStage } from '../../components/stage/ImageStage';
import { usePicture } from '../../components/stage/usePicture';
import { numbers } from '../../lib/numbers';
import styles from './Detail.module.css';
import { useSummary } from './Gallery';
import type { Row } from './rows';
import type { PictureSource } from './sources';
import { useThumb } from './useThumb';

interface DetailProps {
  row: Row;
  task: string;
  source: PictureSource | null;
  /** Shows the one before or after; null at the ends. */
  onPrevious: (() => void) | null;
  onNext: (() => void) | null;
  onClose: () => void;
}

/** One picture of a batch, large, with everything that was found in it. */
export function Detail({ row, task, source, onPrevious, onNext, onClose }: DetailProps) {
  const { t, i18n } = useTranslation();
  const summary = useSummary();
  const url = useThumb(source, row);
  const picture = usePicture(url ?? null);
  const boxes = useMemo(() => {
    const percent = numbers(i18n.language).percent;
    return row.found.flatMap(({ box_xyxy: box, class: name, class_id: classId, score }) =>
      box ? [{ box, classId, label: `${name} ${percent(score)}` }] : [],
    );
  }, [row, i18n.language]);
  const percent = numbers(i18n.language).percent;
  const findings = row.ranked.length > 0 ? row.ranked : [...row.found].sort((a, b) => b.score - a.score);
  const size = picture.size ?? { width: row.width || 1, height: row.height || 1 };
  const missing = url === null || picture.status === 'undecodable';
  return (
    <ModalDialog onClose={onClose} isWide>
      <div className={styles.head}>
        <Heading slot="title">{row.image}</Heading>
        <IconButton icon="close" label={t('app.close')} onPress={onClose} />
      </div>
      {(!missing || boxes.length > 0) && (
        <div className={styles.stage}>
          <ImageStage source={picture.image} size={size} boxes={boxes} label={`${row.image}: ${summary(row)}`} />
        </div>
      )}
      {missing && <p className={styles.note}>{t(source ? 'stage.undecodable' : 'many.picture_gone')}</p>}
      {row.error ? (
        <div className={styles.error}>
          <p>
            <strong>{summary(row)}</strong>
          </p>
          <p>{t(`problems.${row.error.code}.action`, { defaultValue: '' })}</p>
          <p className={styles.note}>{row.error.detail}</p>
        </div>
      ) : (
        <dl className={styles.findings}>
          {findings.length === 0 && <dt>{t('many.nothing')}</dt>}
          {findings.slice(0, 20).map((item, index) => (
            <div key={index}>
              <dt>{item.class}</dt>
              <dd>{percent(item.score)}</dd>
            </div>
          ))}
        </dl>
      )}
      <div className={styles.foot}>
        {row.width > 0 && <span className={styles.note}>{`${row.width} × ${row.height} px`}</span>}
        {row.id && (
          <Link href={`/label?task=${encodeURIComponent(task)}&prediction=${encodeURIComponent(row.id)}`}>
            {t('many.correct')}
          </Link>
        )}
        <Button small isDisabled={!onPrevious} onPress={() => onPrevious?.()}>
          {t('many.previous')}
        </Button>
        <Button small isDisabled={!onNext} onPress={() => onNext?.()}>
          {t('many.next')}
        </Button>
      </div>
    </ModalDialog>
  );
}
