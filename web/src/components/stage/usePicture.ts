import { useEffect, useState } from 'react';

import type { Size } from '../../lib/viewport';

export type PictureState =
  | { readonly status: 'loading'; readonly image: null; readonly size: null }
  | { readonly status: 'ready'; readonly image: HTMLImageElement; readonly size: Size }
  | { readonly status: 'undecodable'; readonly image: null; readonly size: null };

const LOADING: PictureState = { status: 'loading', image: null, size: null };

/** A picture from an address (mostly a blob's), decoded and upright. */
export function usePicture(url: string | null): PictureState {
  const [found, setFound] = useState<{ url: string | null; state: PictureState }>({ url: null, state: LOADING });
  useEffect(() => {
    if (url === null) return;
    let current = true;
    const image = new Image();
    image.src = url;
    const tell = (state: PictureState) => {
      if (current) setFound({ url, state });
    };
    image.decode().then(
      () => tell({ status: 'ready', image, size: { width: image.naturalWidth, height: image.naturalHeight } }),
      () => tell({ status: 'undecodable', image: null, size: null }),
    );
    return () => {
      current = false;
    };
  }, [url]);
  return found.url === url ? found.state : LOADING;
}
