import { useEffect, useRef, useState } from 'react';
import { Button as AriaButton } from 'react-aria-components';
import { useTranslation } from 'react-i18next';

import type { Model } from '../../api/client';
import { Button } from '../../components/Button';
import { DropArea } from '../../components/DropArea';
import { useDropped } from '../../lib/useDropped';
import styles from './AddPictures.module.css';
import digit from './samples/digit.png';
import scene1 from './samples/scene-1.jpg';
import scene2 from './samples/scene-2.jpg';
import scene3 from './samples/scene-3.jpg';

/** Of the embedded digits, as each task has them. */
const SAMPLES = [
  { url: digit, name: 'digit.png', task: 'classification', scene: null },
  { url: scene1, name: 'scene-1.jpg', task: 'detection', scene: 1 },
  { url: scene2, name: 'scene-2.jpg', task: 'detection', scene: 2 },
  { url: scene3, name: 'scene-3.jpg', task: 'detection', scene: 3 },
] as const;

const DIGITS = '0 1 2 3 4 5 6 7 8 9';

/** Samples that a model of those that answer has learned: of a task that knows the ten digits, and nothing else. */
export function samplesFor(models: readonly Pick<Model, 'task' | 'classes'>[]) {
  const ofDigits = models.filter(({ classes }) => [...classes].sort().join(' ') === DIGITS);
  return SAMPLES.filter((sample) => ofDigits.some(({ task }) => task === sample.task));
}

interface AddPicturesProps {
  /** Those that will answer. */
  models: readonly Model[];
  onFiles: () => void;
  onPhoto: () => void;
  onSample: (file: File) => void;
}

/** Where there is no picture yet: every way to bring one. */
export function AddPictures({ models, onFiles, onPhoto, onSample }: AddPicturesProps) {
  const { t } = useTranslation();
  const [isLost, setLost] = useState(false);
  const samples = samplesFor(models);
  const take = (url: string, name: string) => {
    setLost(false);
    sample(url, name).then(onSample, () => setLost(true));
  };
  // With fingers alone nothing is dropped or pasted.
  const way = window.matchMedia('(hover: none) and (pointer: coarse)').matches ? 'touch' : 'drop';
  return (
    <div className={styles.add}>
      <DropArea
        icon="image"
        title={t(`try.${way}_title`)}
        text={t(`try.${way}_text`)}
        fault={isLost ? t('problems.unreachable.what') : undefined}
      >
        <Button kind="primary" icon="upload" onPress={onFiles}>
          {t('try.choose')}
        </Button>
        <Button icon="camera" onPress={onPhoto}>
          {t('try.photo')}
        </Button>
      </DropArea>
      {samples.length > 0 && (
        <section className={styles.samples} aria-labelledby="samples">
          <h2 id="samples">{t('try.samples')}</h2>
          <ul>
            {samples.map(({ url, name, scene }) => (
              <li key={name}>
                <AriaButton
                  className={styles.sample ?? ''}
                  aria-label={scene === null ? t('try.sample.digit') : t('try.sample.scene', { number: scene })}
                  onPress={() => take(url, name)}
                >
                  <img src={url} alt="" width={96} height={96} />
                </AriaButton>
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

async function sample(url: string, name: string): Promise<File> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  const blob = await answer.blob();
  return new File([blob], name, { type: blob.type });
}

/** Files dropped anywhere or pasted; returns whether some are held over the page. */
export function useDrop(onFiles: (files: File[]) => void): boolean {
  const latest = useRef(onFiles);
  useEffect(() => {
    latest.current = onFiles;
  });
  useEffect(() => {
    const paste = (event: ClipboardEvent) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length > 0) latest.current(files);
    };
    window.addEventListener('paste', paste);
    return () => window.removeEventListener('paste', paste);
  }, []);
  return useDropped((transfer) => onFiles([...transfer.files]));
}
