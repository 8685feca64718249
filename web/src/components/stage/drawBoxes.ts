import type { BoxXyxy } from '../../lib/boxes';
import { classStyle } from '../../lib/colors';
import type { View } from '../../lib/viewport';

/** A box to be drawn. */
export interface StageBox {
  readonly box: BoxXyxy;
  readonly classId: number;
  /** What its label says. */
  readonly label: string;
}

export interface BoxDrawing {
  readonly showLabels: boolean;
  /** Index of the one that stands out; the others step back. */
  readonly highlighted: number | null;
  /** Height of the labels' text, in CSS pixels. */
  readonly fontSize?: number;
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';

/** Draw boxes as they lie under `view`; the last found lie lowest, the highlighted one on top. */
export function drawBoxes(
  context: CanvasRenderingContext2D,
  boxes: readonly StageBox[],
  view: View,
  { showLabels, highlighted, fontSize = 12 }: BoxDrawing,
) {
  const stroke = Math.max(1.5, fontSize / 6);
  context.save();
  context.font = `600 ${fontSize}px ${FONT}`;
  context.textBaseline = 'middle';
  context.lineJoin = 'round';
  for (let index = boxes.length - 1; index >= 0; index -= 1) {
    const item = boxes[index];
    if (item && index !== highlighted) {
      context.globalAlpha = highlighted === null ? 1 : 0.35;
      outline(context, item, view, stroke, false);
    }
  }
  if (showLabels) {
    for (let index = boxes.length - 1; index >= 0; index -= 1) {
      const item = boxes[index];
      if (item && index !== highlighted) {
        context.globalAlpha = highlighted === null ? 1 : 0.35;
        label(context, item, view, fontSize);
      }
    }
  }
  const top = highlighted === null ? undefined : boxes[highlighted];
  if (top) {
    context.globalAlpha = 1;
    outline(context, top, view, stroke + 1, true);
    label(context, top, view, fontSize);
  }
  context.restore();
}

function outline(context: CanvasRenderingContext2D, item: StageBox, view: View, width: number, filled: boolean) {
  const { color, text, dash } = classStyle(item.classId);
  const [left, top, w, h] = screenBox(item.box, view);
  if (filled) {
    context.fillStyle = `${color}2e`;
    context.fillRect(left, top, w, h);
  }
  // A halo of the opposite brightness: the outline is seen on any picture.
  context.setLineDash([]);
  context.strokeStyle = text === '#ffffff' ? 'rgb(255 255 255 / 75%)' : 'rgb(11 15 19 / 70%)';
  context.lineWidth = width + 2;
  context.strokeRect(left, top, w, h);
  context.setLineDash([...dash]);
  context.strokeStyle = color;
  context.lineWidth = width;
  context.strokeRect(left, top, w, h);
}

function label(context: CanvasRenderingContext2D, item: StageBox, view: View, fontSize: number) {
  const { color, text } = classStyle(item.classId);
  const [left, top, , h] = screenBox(item.box, view);
  const height = Math.round(fontSize * 1.6);
  const width = context.measureText(item.label).width + fontSize;
  // Above the box; inside where the picture ends.
  const y = top - height >= 0 ? top - height : Math.min(top, top + h);
  context.fillStyle = color;
  context.beginPath();
  context.roundRect(left - 1, y, width, height, 3);
  context.fill();
  context.fillStyle = text;
  context.fillText(item.label, left - 1 + fontSize / 2, y + height / 2 + 0.5);
}

function screenBox([x1, y1, x2, y2]: BoxXyxy, { scale, x, y }: View): [number, number, number, number] {
  const left = Math.round(x1 * scale + x) + 0.5;
  const top = Math.round(y1 * scale + y) + 0.5;
  return [left, top, Math.round((x2 - x1) * scale), Math.round((y2 - y1) * scale)];
}

/** The picture with its boxes in its own size, for saving. */
export async function pictureWithBoxes(
  source: CanvasImageSource,
  size: { width: number; height: number },
  boxes: readonly StageBox[],
  showLabels: boolean,
): Promise<Blob> {
  // Labels on a picture of a few pixels could not be read: it is enlarged.
  const scale = Math.max(1, Math.min(8, Math.ceil(640 / Math.max(size.width, size.height))));
  const canvas = document.createElement('canvas');
  canvas.width = size.width * scale;
  canvas.height = size.height * scale;
  const context = canvas.getContext('2d');
  if (!context) throw new Error('this browser has no 2D canvas');
  context.imageSmoothingEnabled = scale < 3;
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  const fontSize = Math.max(12, Math.round(Math.max(canvas.width, canvas.height) / 60));
  drawBoxes(context, boxes, { scale, x: 0, y: 0 }, { showLabels, highlighted: null, fontSize });
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('the picture could not be encoded'))), 'image/png');
  });
}
