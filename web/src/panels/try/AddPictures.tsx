import { useEffect, useRef, useState } from 'react';
import { Button as AriaButton } from 'react-aria-components';
import { useTranslation } from 'react-i18next';

import { Button } from '../../components/Button';
import { Icon } from '../../components/Icon';
import styles from './AddPictures.module.css';
import digit from './samples/digit.png';
import scene1 from './samples/scene-1.jpg';
import scene2 from './samples/scene-2.jpg';
import scene3 from './samples/scene-3.jpg';

const SAMPLES = [
  { url: digit, name: 'digit.png', scene: null },
  { url: scene1, name: 'scene-1.jpg', scene: 1 },
  { url: scene2, name: 'scene-2.jpg', scene: 2 },
  { url: scene3, name: 'scene-3.jpg', scene: 3 },
] as const;

interface AddPicturesProps {
  onFiles: () => void;
  onPhoto: () => void;
  onSample: (file: File) => void;
}

/** Where there is no picture yet: every way to bring one. */
export function AddPictures({ onFiles, onPhoto, onSample }: AddPicturesProps) {
  const { t } = useTranslation();
  return (
    <div className={styles.add}>
      <div className={styles.drop}>
        <span className={styles.icon}>
          <Icon name="image" size={32} />
        </span>
        <h2>{t('try.drop_title')}</h2>
        <p>{t('try.drop_text')}</p>
        <div className={styles.actions}>
          <Button kind="primary" icon="upload" onPress={onFiles}>
            {t('try.choose')}
          </Button>
          <Button icon="camera" onPress={onPhoto}>
            {t('try.photo')}
          </Button>
        </div>
      </div>
      <section className={styles.samples} aria-labelledby="samples">
        <h2 id="samples">{t('try.samples')}</h2>
        <ul>
          {SAMPLES.map(({ url, name, scene }) => (
            <li key={name}>
              <AriaButton
                className={styles.sample ?? ''}
                aria-label={scene === null ? t('try.sample.digit') : t('try.sample.scene', { number: scene })}
                onPress={() => void sample(url, name).then(onSample)}
              >
                <img src={url} alt="" width={96} height={96} />
              </AriaButton>
            </li>
          ))}
        </ul>
      </section>
    </div>
  );
}

async function sample(url: string, name: string): Promise<File> {
  const blob = await (await fetch(url)).blob();
  return new File([blob], name, { type: blob.type });
}

/** Files dropped anywhere or pasted; returns whether some are held over the page. */
export function useDrop(onFiles: (files: File[]) => void): boolean {
  const [isDragging, setDragging] = useState(false);
  const latest = useRef(onFiles);
  useEffect(() => {
    latest.current = onFiles;
  });
  useEffect(() => {
    // Each element that the pointer passes tells of entering and leaving.
    let depth = 0;
    const carriesFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
    const enter = (event: DragEvent) => {
      if (!carriesFiles(event)) return;
      depth += 1;
      setDragging(true);
    };
    const leave = (event: DragEvent) => {
      if (!carriesFiles(event)) return;
      depth = Math.max(0, depth - 1);
      if (depth === 0) setDragging(false);
    };
    const over = (event: DragEvent) => {
      if (carriesFiles(event)) event.preventDefault();
    };
    const drop = (event: DragEvent) => {
      depth = 0;
      setDragging(false);
      if (!carriesFiles(event)) return;
      event.preventDefault();
      latest.current([...(event.dataTransfer?.files ?? [])]);
    };
    const paste = (event: ClipboardEvent) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length > 0) latest.current(files);
    };
    window.addEventListener('dragenter', enter);
    window.addEventListener('dragleave', leave);
    window.addEventListener('dragover', over);
    window.addEventListener('drop', drop);
    window.addEventListener('paste', paste);
    return () => {
      window.removeEventListener('dragenter', enter);
      window.removeEventListener('dragleave', leave);
      window.removeEventListener('dragover', over);
      window.removeEventListener('drop', drop);
      window.removeEventListener('paste', paste);
    };
  }, []);
  return isDragging;
}
