import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { Schemas } from '../../api/client';
import { Icon } from '../../components/Icon';
import { useFormats } from './format';
import styles from './Watch.module.css';
import { thumbnailQuery } from './watch';

type NewImage = Schemas['NewImageBody'];

/** The pictures behind an alarm, each beside the reference pictures nearest to it. */
export function NewImages({ images }: { images: readonly NewImage[] }) {
  const { t } = useTranslation();
  const format = useFormats();
  const anyKept = images.some(({ has_image }) => has_image);
  const anyReference = images.some(({ nearest }) => nearest.some(({ jpeg_base64 }) => jpeg_base64 !== null));
  return (
    <section className={styles.part}>
      <h3>{t('watch.drift.newest')}</h3>
      <p className={styles.note}>
        {t('watch.drift.newest_note')} {!anyKept && t('watch.drift.not_kept')} {!anyReference && t('watch.drift.no_reference')}
      </p>
      <ul className={styles.newest}>
        {images.map((image, index) => (
          <li key={image.prediction_id}>
            {image.has_image ? (
              <Kept id={image.prediction_id} alt={t('watch.drift.sent', { number: index + 1 })} />
            ) : (
              <span className={styles.missing} role="img" aria-label={t('watch.drift.picture_missing')}>
                <Icon name="image" size={24} />
              </span>
            )}
            <span className={styles.note}>{t('watch.drift.newer', { share: format.roughly(image.score) })}</span>
            <span className={styles.nearest}>
              {image.nearest.map(({ id, jpeg_base64: picture }) =>
                picture === null ? (
                  <span key={id} className={styles.missing} title={id} role="img" aria-label={t('watch.drift.reference_missing', { id })} />
                ) : (
                  <img key={id} src={`data:image/jpeg;base64,${picture}`} alt={t('watch.drift.reference_picture', { id })} title={id} />
                ),
              )}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Kept({ id, alt }: { id: string; alt: string }) {
  const { data: blob, isError } = useQuery(thumbnailQuery(id));
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    if (!blob) return;
    const made = URL.createObjectURL(blob);
    // eslint-disable-next-line react-hooks/set-state-in-effect -- the address is made and revoked with the effect
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  if (url === null) {
    return (
      <span className={styles.missing} role="img" aria-label={alt}>
        {isError && <Icon name="image" size={24} />}
      </span>
    );
  }
  return <img className={styles.sent} src={url} alt={alt} />;
}
