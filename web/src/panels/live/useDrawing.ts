import { useCallback, useMemo } from 'react';
import { useTranslation } from 'react-i18next';

import type { FramePrediction } from '../../api/stream';
import type { StageBox } from '../../components/stage/drawBoxes';
import type { View } from '../../lib/viewport';
import { numbers } from '../../lib/numbers';
import { paintRanked } from './paintRanked';

/** What is drawn over a frame: boxes, or the most probable classes. */
export function useDrawing(prediction: FramePrediction | null) {
  const { i18n } = useTranslation();
  const { percent } = numbers(i18n.language);
  const boxes = useMemo(
    () =>
      prediction?.detections?.map(
        (item): StageBox => ({
          box: item.box_xyxy,
          classId: item.class_id,
          label: `${item.class} ${percent(item.score)}`,
        }),
      ),
    [prediction, percent],
  );
  const ranked = prediction?.detections ? null : prediction?.ranked;
  const paint = useCallback(
    (context: CanvasRenderingContext2D, view: View) => {
      if (ranked) paintRanked(context, ranked, percent, view);
    },
    [ranked, percent],
  );
  return { boxes, paint };
}
