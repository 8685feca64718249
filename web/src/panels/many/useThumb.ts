import { useEffect, useState } from 'react';

import type { Row } from './rows';
import type { PictureSource } from './sources';

/**
 * Address of a row's picture while it is shown, revoked afterwards; null without one, undefined until it is known.
 *
 * `settleMs`: how long a row has to be shown before its picture is read, for rows that are scrolled past.
 */
export function useThumb(source: PictureSource | null, row: Row, settleMs = 0): string | null | undefined {
  const [found, setFound] = useState<{ row: Row; url: string | null } | null>(null);
  useEffect(() => {
    if (!source) return;
    let url: string | null = null;
    let isGone = false;
    const tell = (blob: Blob | null) => {
      if (isGone) return;
      url = blob && URL.createObjectURL(blob);
      setFound({ row, url });
    };
    // A damaged archive, or a file that has been moved since: there is no picture then.
    const timer = setTimeout(() => void source.read(row).then(tell, () => tell(null)), settleMs);
    return () => {
      isGone = true;
      clearTimeout(timer);
      if (url !== null) URL.revokeObjectURL(url);
    };
  }, [source, row, settleMs]);
  if (!source) return null;
  return found?.row === row ? found.url : undefined;
}
