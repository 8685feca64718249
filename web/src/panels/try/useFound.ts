import { useMemo } from 'react';

import type { StageBox } from '../../components/stage/drawBoxes';
import { operatingPoint, shown, type BoxView } from '../../lib/boxes';
import type { Found } from './results';

/** What of the candidates is shown, as answers and as boxes to draw, in the same order. */
export function useFound(
  candidates: readonly Found[] | null | undefined,
  point: Readonly<Record<string, unknown>> | undefined,
  { threshold: own, hidden }: BoxView,
  language: string,
): { found: readonly Found[]; boxes: readonly StageBox[] } {
  return useMemo(() => {
    const threshold = own === null ? operatingPoint(point) : () => own;
    const found = shown(candidates ?? [], threshold, hidden);
    const percent = new Intl.NumberFormat(language, { style: 'percent' });
    const boxes = found.map((item) => ({
      box: item.box_xyxy,
      classId: item.class_id,
      label: `${item.class} ${percent.format(item.score)}`,
    }));
    return { found, boxes };
  }, [candidates, point, own, hidden, language]);
}
