import { useTranslation } from 'react-i18next';

import styles from './Skeleton.module.css';

/** A grey shape where something of known size will be. */
export function Skeleton({ height, width = '100%' }: { height: number | string; width?: number | string }) {
  return <span className={styles.skeleton} style={{ height, width }} />;
}

/** What a panel looks like before its code is here. */
export function PanelSkeleton() {
  const { t } = useTranslation();
  return (
    <div className={styles.panel} role="status" aria-label={t('app.loading')}>
      <Skeleton height={28} width={220} />
      <Skeleton height={320} />
    </div>
  );
}
