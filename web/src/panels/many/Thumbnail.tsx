import { useState } from 'react';

import { Icon } from '../../components/Icon';
import { classStyle } from '../../lib/colors';
import type { Found, Row } from './rows';
import type { PictureSource } from './sources';
import styles from './Gallery.module.css';
import { useThumb } from './useThumb';

const SETTLE_MS = 80;

/** A row's picture with the boxes over it; its cell says in words what it shows. */
export function Thumbnail({ source, row, found }: { source: PictureSource | null; row: Row; found: readonly Found[] }) {
  const url = useThumb(source, row, SETTLE_MS);
  const [broken, setBroken] = useState<string | null>(null);
  const boxes = found.filter(({ box_xyxy }) => box_xyxy);
  return (
    <span className={styles.thumb}>
      {url && url !== broken && <img src={url} alt="" decoding="async" onError={() => setBroken(url)} />}
      {(url === null || (url !== undefined && url === broken)) && boxes.length === 0 && (
        <span className={styles.blank}>
          <Icon name={row.error ? 'alert' : 'image'} size={28} />
        </span>
      )}
      {boxes.length > 0 && row.width > 0 && (
        <svg viewBox={`0 0 ${row.width} ${row.height}`} aria-hidden="true" focusable="false">
          {!url && <rect className={styles.frame} width={row.width} height={row.height} />}
          {boxes.map(({ box_xyxy: [x1, y1, x2, y2] = [0, 0, 0, 0], class_id }, index) => (
            <rect
              key={index}
              x={x1}
              y={y1}
              width={Math.max(0, x2 - x1)}
              height={Math.max(0, y2 - y1)}
              fill="none"
              stroke={classStyle(class_id).color}
              strokeWidth="2"
              vectorEffect="non-scaling-stroke"
            />
          ))}
        </svg>
      )}
    </span>
  );
}
