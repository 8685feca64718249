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

/** So many boxes have labels only where these are no wider than the box: they would cover the picture. */
const CROWD = 60;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';

/** Draw boxes as they lie under `view`; the last found lie lowest, the highlighted one on top. */
export function drawBoxes(
  context: CanvasRenderingContext2D,
  boxes: readonly StageBox[],
  view: View,
  { showLabels, highlighted, fontSize = 12 }: BoxDrawing,
) {
  const stroke = Math.max(1.5, fontSize / 6);
  const top = highlighted === null ? undefined : boxes[highlighted];
  const others = top ? boxes.filter((item) => item !== top) : boxes;
  context.save();
  context.lineJoin = 'round';
  context.globalAlpha = top ? 0.35 : 1;
  outline(context, others, view, stroke);
  if (showLabels) {
    // A label gives way to one of a higher score: pointing at its box shows it.
    const taken: Area[] = [];
    for (const item of others) {
      const area = labelArea(context, item, view, fontSize);
      if (others.length > CROWD && area.width > (item.box[2] - item.box[0]) * view.scale) continue;
      if (taken.some((other) => isHidden(area, other))) continue;
      taken.push(area);
      label(context, area);
    }
  }
  if (top) {
    context.globalAlpha = 1;
    context.fillStyle = `${classStyle(top.classId).color}2e`;
    context.fillRect(...screenBox(top.box, view));
    outline(context, [top], view, stroke + 1);
    label(context, labelArea(context, top, view, fontSize));
  }
  context.restore();
}

/** Outlines of one class are one path: hundreds of boxes cost as little as a few. */
function outline(context: CanvasRenderingContext2D, boxes: readonly StageBox[], view: View, width: number) {
  const paths = new Map<number, Path2D>();
  for (const { box, classId } of boxes) {
    let path = paths.get(classId);
    if (!path) paths.set(classId, (path = new Path2D()));
    path.rect(...screenBox(box, view));
  }
  // A halo of the opposite brightness: the outline is seen on any picture.
  context.setLineDash([]);
  context.lineWidth = width + 2;
  for (const [classId, path] of paths) {
    const isDark = classStyle(classId).text === '#ffffff';
    context.strokeStyle = isDark ? 'rgb(255 255 255 / 75%)' : 'rgb(11 15 19 / 70%)';
    context.stroke(path);
  }
  context.lineWidth = width;
  for (const [classId, path] of paths) {
    const { color, dash } = classStyle(classId);
    context.setLineDash([...dash]);
    context.strokeStyle = color;
    context.stroke(path);
  }
  context.setLineDash([]);
}

/** A label and where it is drawn, in CSS pixels. */
interface Area extends LabelPicture {
  readonly x: number;
  readonly y: number;
}

function labelArea(context: CanvasRenderingContext2D, item: StageBox, view: View, fontSize: number): Area {
  const [left, top, , height] = screenBox(item.box, view);
  const drawn = labelPicture(item, fontSize, context.getTransform().a);
  // Above the box; inside where the picture ends.
  const y = top - drawn.height >= 0 ? top - drawn.height : Math.min(top, top + height);
  return { ...drawn, x: left - 1.5, y: y - 0.5 };
}

/** So much of a label may be covered, as a share of the smaller one. */
const MAX_COVERED = 0.15;

/** Whether two areas cover so much of each other that one could not be read. */
export function isHidden(a: Omit<Area, 'canvas'>, b: Omit<Area, 'canvas'>): boolean {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  if (width <= 0 || height <= 0) return false;
  return width * height > MAX_COVERED * Math.min(a.width * a.height, b.width * b.height);
}

function label(context: CanvasRenderingContext2D, { canvas, x, y, width, height }: Area) {
  context.drawImage(canvas, x, y, width, height);
}

interface LabelPicture {
  readonly canvas: HTMLCanvasElement;
  /** Size in CSS pixels. */
  readonly width: number;
  readonly height: number;
}

// Laying out text is what costs: a label is drawn once, and copied from then on.
const labels = new Map<string, LabelPicture>();
const MAX_LABELS = 1_000;

function labelPicture({ label, classId }: StageBox, fontSize: number, ratio: number): LabelPicture {
  const key = `${classId} ${fontSize} ${ratio} ${label}`;
  const known = labels.get(key);
  if (known) return known;
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  const font = `600 ${fontSize}px ${FONT}`;
  const { color, text } = classStyle(classId);
  const height = Math.round(fontSize * 1.6);
  let width = fontSize;
  if (context) {
    context.font = font;
    width += Math.ceil(context.measureText(label).width);
    canvas.width = Math.ceil(width * ratio);
    canvas.height = Math.ceil(height * ratio);
    context.scale(ratio, ratio);
    context.fillStyle = color;
    context.roundRect(0, 0, width, height, 3);
    context.fill();
    context.font = font; // setting the size has reset it
    context.textBaseline = 'middle';
    context.fillStyle = text;
    context.fillText(label, fontSize / 2, height / 2 + 0.5);
  }
  if (labels.size >= MAX_LABELS) labels.clear();
  const made = { canvas, width, height };
  labels.set(key, made);
  return made;
}

function screenBox([x1, y1, x2, y2]: BoxXyxy, { scale, x, y }: View): [number, number, number, number] {
  const left = Math.round(x1 * scale + x) + 0.5;
  const top = Math.round(y1 * scale + y) + 0.5;
  return [left, top, Math.round((x2 - x1) * scale), Math.round((y2 - y1) * scale)];
}

/** Another picture laid over the first. */
export interface Overlay {
  readonly source: CanvasImageSource;
  /** From 0 to 1. */
  readonly opacity: number;
}

/** The picture with what lies over it and its boxes in its own size, for saving. */
export async function pictureWithBoxes(
  source: CanvasImageSource,
  size: { width: number; height: number },
  boxes: readonly StageBox[],
  showLabels: boolean,
  overlay: Overlay | null = null,
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
  if (overlay) {
    context.globalAlpha = overlay.opacity;
    context.drawImage(overlay.source, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 1;
  }
  const fontSize = Math.max(12, Math.round(Math.max(canvas.width, canvas.height) / 60));
  drawBoxes(context, boxes, { scale, x: 0, y: 0 }, { showLabels, highlighted: null, fontSize });
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('the picture could not be encoded'))), 'image/png');
  });
}
