import { useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';

import { Icon } from '../../components/Icon';
import styles from './PictureStrip.module.css';
import type { Picture } from './store';

interface PictureStripProps {
  pictures: readonly Picture[];
  selected: number | null;
  onSelect: (id: number) => void;
}

/** The pictures of this visit, small; arrow keys go from one to the next. */
export function PictureStrip({ pictures, selected, onSelect }: PictureStripProps) {
  const { t } = useTranslation();
  const current = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    current.current?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [selected]);
  return (
    <ul className={styles.strip} aria-label={t('try.pictures')}>
      {pictures.map((picture) => (
        <li key={picture.id}>
          <button
            ref={picture.id === selected ? current : null}
            type="button"
            className={styles.tile}
            aria-pressed={picture.id === selected}
            aria-label={t('try.picture', { name: picture.file.name, state: t(`try.state.${picture.status}`) })}
            title={picture.file.name}
            onClick={() => onSelect(picture.id)}
          >
            <img src={picture.url} alt="" decoding="async" onError={hide} />
            <Mark picture={picture} />
          </button>
        </li>
      ))}
    </ul>
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
