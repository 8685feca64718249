import { useEffect, useRef, type KeyboardEvent } from 'react';
import { useTranslation } from 'react-i18next';

import { IconButton } from '../../components/Button';
import { Icon } from '../../components/Icon';
import styles from './PictureStrip.module.css';
import type { Picture } from './store';

interface PictureStripProps {
  pictures: readonly Picture[];
  selected: number | null;
  onSelect: (id: number) => void;
  /** To the picture so many places further. */
  onStep: (by: number) => void;
  onRemove: (id: number) => void;
}

/** The pictures of this visit, small; arrow keys go from one to the next, Delete removes one. */
export function PictureStrip({ pictures, selected, onSelect, onStep, onRemove }: PictureStripProps) {
  const { t } = useTranslation();
  const current = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const place = pictures.findIndex(({ id }) => id === selected) + 1;
  useEffect(() => {
    current.current?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    // Arrow keys take the focus along.
    if (list.current?.contains(document.activeElement)) current.current?.focus({ preventScroll: true });
  }, [selected]);
  const onKeyDown = (event: KeyboardEvent, id: number) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => onStep(-1),
      ArrowRight: () => onStep(1),
      Delete: () => onRemove(id),
      Backspace: () => onRemove(id),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  };
  return (
    <div className={styles.pictures}>
      <ul ref={list} className={styles.strip} aria-label={t('try.pictures')}>
        {pictures.map((picture) => (
          <li key={picture.id} className={styles.item}>
            <button
              ref={picture.id === selected ? current : null}
              type="button"
              className={styles.tile}
              aria-pressed={picture.id === selected}
              aria-keyshortcuts="Delete"
              aria-label={t('try.picture', { name: picture.file.name, state: t(`try.state.${picture.status}`) })}
              title={picture.file.name}
              onClick={() => onSelect(picture.id)}
              onKeyDown={(event) => onKeyDown(event, picture.id)}
            >
              <img src={picture.url} alt="" decoding="async" onError={hide} />
              <Mark picture={picture} />
            </button>
            <button
              type="button"
              className={styles.cross}
              aria-label={t('try.remove', { name: picture.file.name })}
              onClick={() => onRemove(picture.id)}
            >
              <Icon name="close" size={14} />
            </button>
          </li>
        ))}
      </ul>
      {pictures.length > 1 && (
        <div className={styles.steps}>
          <IconButton small icon="previous" label={t('try.previous')} isDisabled={place <= 1} onPress={() => onStep(-1)} />
          <span className={styles.place}>{t('try.place', { place, count: pictures.length })}</span>
          <IconButton
            small
            icon="next"
            label={t('try.next')}
            isDisabled={place === pictures.length}
            onPress={() => onStep(1)}
          />
        </div>
      )}
    </div>
  );
}

function Mark({ picture: { status, progress } }: { picture: Picture }) {
  if (status === 'failed') {
    return (
      <span className={styles.mark} data-status={status}>
        <Icon name="alert" size={14} />
      </span>
    );
  }
  if (status === 'done' || status === 'cancelled') return null;
  return (
    <span className={styles.rail}>
      <span style={{ width: `${progress * 100}%` }} />
    </span>
  );
}

/** A file that the browser cannot show has a plain tile. */
function hide({ currentTarget }: { currentTarget: HTMLImageElement }) {
  currentTarget.hidden = true;
}
