import { useMemo } from 'react';

import type { StageBox } from '../../components/stage/drawBoxes';
import { operatingPoint, shown, type BoxView } from '../../lib/boxes';
import { numbers } from '../../lib/numbers';
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
    const { percent } = numbers(language);
    const boxes = found.map((item) => ({
      box: item.box_xyxy,
      classId: item.class_id,
      label: `${item.class} ${percent(item.score)}`,
    }));
    return { found, boxes };
  }, [candidates, point, own, hidden, language]);
}
