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

/** The handle of a box at a point; edges reach `tolerance` pixels to both sides. */
export function handleAt([x1, y1, x2, y2]: BoxXyxy, { x, y }: Point, tolerance: number): Handle | null {
  if (x < x1 - tolerance || x > x2 + tolerance || y < y1 - tolerance || y > y2 + tolerance) return null;
  // In a box smaller than its handles the nearer edge wins.
  const [left, right] = [Math.abs(x - x1), Math.abs(x - x2)];
  const [top, bottom] = [Math.abs(y - y1), Math.abs(y - y2)];
  const vertical = Math.min(top, bottom) <= tolerance ? (top < bottom ? 'n' : 's') : '';
  const horizontal = Math.min(left, right) <= tolerance ? (left < right ? 'w' : 'e') : '';
  return `${vertical}${horizontal}` || 'inside';
}

/** The box after a handle was moved; it stays in the image, and is turned over where an edge passes the other. */
export function dragged([x1, y1, x2, y2]: BoxXyxy, handle: Handle, dx: number, dy: number, size: Size): BoxXyxy {
  if (handle === 'inside') {
    const moveX = clamp(dx, -x1, size.width - x2);
    const moveY = clamp(dy, -y1, size.height - y2);
    return [x1 + moveX, y1 + moveY, x2 + moveX, y2 + moveY];
  }
  return spanned(
    { x: handle.includes('w') ? x1 + dx : x1, y: handle.includes('n') ? y1 + dy : y1 },
    { x: handle.includes('e') ? x2 + dx : x2, y: handle.includes('s') ? y2 + dy : y2 },
    size,
  );
}

/** The box between two corners, inside the image and not thinner than `MIN_SIDE`. */
export function spanned(a: Point, b: Point, { width, height }: Size): BoxXyxy {
  const [x1, x2] = side(a.x, b.x, width);
  const [y1, y2] = side(a.y, b.y, height);
  return [x1, y1, x2, y2];
}

function side(a: number, b: number, length: number): [number, number] {
  const low = clamp(Math.min(a, b), 0, Math.max(0, length - MIN_SIDE));
  return [low, clamp(Math.max(a, b), low + MIN_SIDE, length)];
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
