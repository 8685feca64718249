import type { BoxXyxy } from '../../lib/boxes';
import type { Point, Size } from '../../lib/viewport';

/** A box that can be changed. */
export interface LabelBox {
  readonly class: string;
  readonly box: BoxXyxy;
}

/** Edges that a handle moves: n, s, e, w, corners, or all of them at once. */
export type Handle = 'n' | 's' | 'e' | 'w' | 'nw' | 'ne' | 'sw' | 'se' | 'inside';

/** No box is thinner, in pixels of the image. */
export const MIN_SIDE = 2;

/**
 * The handle of a box at a point; edges reach up to `tolerance` pixels to both sides.
 *
 * Those of a small box reach less far: a finger beside it means something else, and one on its middle moves it.
 */
export function handleAt([x1, y1, x2, y2]: BoxXyxy, { x, y }: Point, tolerance: number): Handle | null {
  const horizontal = edgeAt(x, x1, x2, tolerance);
  const vertical = edgeAt(y, y1, y2, tolerance);
  if (horizontal === null || vertical === null) return null;
  const [ns, we] = [['', 'n', 's'][vertical] ?? '', ['', 'w', 'e'][horizontal] ?? ''];
  const handle = `${ns}${we}`;
  return handle === '' ? 'inside' : (handle as Handle);
}

/** 1 at the lower edge, 2 at the upper one, 0 between them, null outside. */
function edgeAt(at: number, low: number, high: number, tolerance: number): 0 | 1 | 2 | null {
  const outside = Math.min(tolerance, Math.max(tolerance / 3, (high - low) / 2));
  if (at < low - outside || at > high + outside) return null;
  const inside = Math.min(tolerance, (high - low) / 4);
  if (at <= low + inside) return 1;
  return at >= high - inside ? 2 : 0;
}

/** The box after a handle was moved; it stays in the image, and is turned over where an edge passes the other. */
export function dragged(
  [x1, y1, x2, y2]: BoxXyxy,
  handle: Handle,
  dx: number,
  dy: number,
  size: Size,
  min = MIN_SIDE,
): BoxXyxy {
  if (handle === 'inside') {
    const moveX = clamp(dx, -x1, size.width - x2);
    const moveY = clamp(dy, -y1, size.height - y2);
    return [x1 + moveX, y1 + moveY, x2 + moveX, y2 + moveY];
  }
  return spanned(
    { x: handle.includes('w') ? x1 + dx : x1, y: handle.includes('n') ? y1 + dy : y1 },
    { x: handle.includes('e') ? x2 + dx : x2, y: handle.includes('s') ? y2 + dy : y2 },
    size,
    // A box that is thinner already may stay so.
    Math.min(min, Math.max(MIN_SIDE, Math.min(x2 - x1, y2 - y1))),
  );
}

/** The box between two corners, inside the image and not thinner than `min`. */
export function spanned(a: Point, b: Point, { width, height }: Size, min = MIN_SIDE): BoxXyxy {
  const [x1, x2] = side(a.x, b.x, width, min);
  const [y1, y2] = side(a.y, b.y, height, min);
  return [x1, y1, x2, y2];
}

function side(a: number, b: number, length: number, min: number): [number, number] {
  const low = clamp(Math.min(a, b), 0, Math.max(0, length - min));
  return [low, clamp(Math.max(a, b), low + min, length)];
}

/** Nothing thinner is meant when it is drawn by hand: 4 pixels of the image (fewer in a tiny one), 8 of the screen. */
export function leastDrawn({ width, height }: Size, scale: number): number {
  return Math.max(MIN_SIDE, Math.min(4, Math.min(width, height) / 16), 8 / scale);
}

/** Whether a box drawn from one corner to the other is meant, or a slip of the hand. */
export function isDrawn(a: Point, b: Point, size: Size, scale: number): boolean {
  const least = leastDrawn(size, scale);
  return Math.abs(a.x - b.x) >= least && Math.abs(a.y - b.y) >= least;
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}

/** What is edited, and how it was before each change. */
export interface Edit {
  readonly boxes: readonly LabelBox[];
  readonly selected: number | null;
  readonly past: readonly (readonly LabelBox[])[];
}

export function startEdit(boxes: readonly LabelBox[]): Edit {
  return { boxes, selected: null, past: [] };
}

/** Other boxes, by a change that can be undone. */
export function changed(edit: Edit, boxes: readonly LabelBox[], selected: number | null): Edit {
  return { boxes, selected, past: [...edit.past, edit.boxes] };
}

export function withBox(edit: Edit, index: number, box: Partial<LabelBox>): Edit {
  return changed(edit, edit.boxes.map((item, place) => (place === index ? { ...item, ...box } : item)), index);
}

export function added(edit: Edit, box: LabelBox): Edit {
  return changed(edit, [...edit.boxes, box], edit.boxes.length);
}

/** Without a box; the next one is selected, so that several can go one after another. */
export function removed(edit: Edit, index: number): Edit {
  const boxes = edit.boxes.filter((_, place) => place !== index);
  return changed(edit, boxes, boxes.length === 0 ? null : Math.min(index, boxes.length - 1));
}

/** As before the last change. */
export function undone(edit: Edit): Edit {
  const boxes = edit.past.at(-1);
  return boxes ? { boxes, selected: null, past: edit.past.slice(0, -1) } : edit;
}
