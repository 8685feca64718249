import type { Schemas } from '../../api/client';
import type { View } from '../../lib/viewport';

const FEW = 3;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';

/** The most probable classes in a corner of the picture, each with a bar behind it. */
export function paintRanked(
  context: CanvasRenderingContext2D,
  ranked: readonly Schemas['Scored'][],
  percent: (share: number) => string,
  view: View,
) {
  const [width, height] = [208, 28];
  // Where the corner is out of sight, in that of the stage.
  const [left, top] = [Math.max(0, view.x) + 12, Math.max(0, view.y) + 12];
  context.save();
  context.textBaseline = 'middle';
  ranked.slice(0, FEW).forEach((item, rank) => {
    const y = top + rank * (height + 4);
    context.font = `${rank === 0 ? 700 : 500} 14px ${FONT}`;
    context.fillStyle = 'rgb(11 15 19 / 78%)';
    context.fillRect(left, y, width, height);
    context.fillStyle = rank === 0 ? '#0b766d' : '#44505c';
    context.fillRect(left, y, width * item.score, height);
    context.fillStyle = '#ffffff';
    context.textAlign = 'left';
    context.fillText(item.class, left + 8, y + height / 2 + 1, width - 70);
    context.textAlign = 'right';
    context.fillText(percent(item.score), left + width - 8, y + height / 2 + 1);
  });
  context.restore();
}
