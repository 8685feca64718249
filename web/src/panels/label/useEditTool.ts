import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

import type { StageTool } from '../../components/stage/useGestures';
import { boxAt, type BoxXyxy } from '../../lib/boxes';
import type { Point, Size, View } from '../../lib/viewport';
import { added, dragged, handleAt, isDrawn, leastDrawn, spanned, withBox, type Edit, type Handle } from './boxEdit';

const MOUSE_REACH = 8;
/** A finger is broader than a pointer. */
const TOUCH_REACH = 12;
const HANDLE_SIZE = 8;
/** Less is a hand that trembles, in CSS pixels. */
const SLIP = 3;

const CURSORS: Readonly<Record<Handle, string>> = {
  n: 'ns-resize',
  s: 'ns-resize',
  e: 'ew-resize',
  w: 'ew-resize',
  nw: 'nwse-resize',
  se: 'nwse-resize',
  ne: 'nesw-resize',
  sw: 'nesw-resize',
  inside: 'move',
};

interface Drag {
  readonly from: Point;
  /** The box that is changed; null where one is drawn. */
  readonly index: number | null;
  readonly handle: Handle;
  readonly before: BoxXyxy;
  /** Screen pixels an image pixel. */
  readonly scale: number;
}

interface EditTool {
  readonly tool: StageTool;
  /** Draws handles, and the box that is being drawn. */
  readonly paint: (context: CanvasRenderingContext2D, view: View) => void;
  /** The boxes as they are while something is dragged. */
  readonly preview: { readonly index: number | null; readonly box: BoxXyxy } | null;
}

/** Draws, moves and resizes boxes with the mouse, and with fingers where `takesTouch`; else these only select. */
export function useEditTool(
  edit: Edit,
  size: Size,
  newClass: string,
  takesTouch: boolean,
  onEdit: (edit: Edit) => void,
): EditTool {
  const [preview, setPreview] = useState<EditTool['preview']>(null);
  const drag = useRef<Drag | null>(null);
  const latest = useRef({ edit, size, newClass, onEdit, preview });
  useEffect(() => {
    latest.current = { edit, size, newClass, onEdit, preview };
  });

  const tool = useMemo<StageTool>(() => {
    const boxOf = (point: Point): BoxXyxy | null => {
      const held = drag.current;
      if (!held) return null;
      const { size } = latest.current;
      if (held.index === null) return spanned(held.from, point, size);
      const [dx, dy] = [point.x - held.from.x, point.y - held.from.y];
      return dragged(held.before, held.handle, dx, dy, size, leastDrawn(size, held.scale));
    };
    const isSlip = ({ index, from, scale }: Drag, point: Point) =>
      index === null
        ? !isDrawn(from, point, latest.current.size, scale)
        : Math.hypot(point.x - from.x, point.y - from.y) * scale < SLIP;
    const handleOver = (point: Point, reach: number) => {
      const { edit } = latest.current;
      const selected = edit.selected === null ? undefined : edit.boxes[edit.selected];
      return selected ? handleAt(selected.box, point, reach) : null;
    };
    return {
      takesTouch,
      tap: (point) => {
        const { edit, onEdit } = latest.current;
        onEdit({ ...edit, selected: boxAt(edit.boxes, point) });
      },
      cursor: (point, scale) => {
        const handle = handleOver(point, MOUSE_REACH / scale);
        if (handle !== null) return CURSORS[handle];
        return boxAt(latest.current.edit.boxes, point) === null ? '' : 'pointer';
      },
      down: (point, scale, event) => {
        const { edit, onEdit } = latest.current;
        const reach = (event.pointerType === 'touch' ? TOUCH_REACH : MOUSE_REACH) / scale;
        const handle = handleOver(point, reach);
        const index = handle === null ? boxAt(edit.boxes, point) : edit.selected;
        const found = index === null ? undefined : edit.boxes[index];
        drag.current = found
          ? { from: point, index, handle: handle ?? 'inside', before: found.box, scale }
          : { from: point, index: null, handle: 'se', before: [point.x, point.y, point.x, point.y], scale };
        if (index !== edit.selected) onEdit({ ...edit, selected: index });
        return true;
      },
      move: (point) => {
        const box = boxOf(point);
        if (box) setPreview({ index: drag.current?.index ?? null, box });
      },
      up: (point, cancelled) => {
        const box = boxOf(point);
        const held = drag.current;
        drag.current = null;
        setPreview(null);
        const { edit, newClass, onEdit } = latest.current;
        // A click selects, and a slip of the hand draws nothing.
        if (cancelled || !box || !held || isSlip(held, point)) return;
        onEdit(held.index === null ? added(edit, { class: newClass, box }) : withBox(edit, held.index, { box }));
      },
    };
  }, [takesTouch]);

  const paint = useCallback(
    (context: CanvasRenderingContext2D, { scale, x, y }: View) => {
      const { edit, preview } = latest.current;
      const box = preview?.box ?? (edit.selected === null ? undefined : edit.boxes[edit.selected]?.box);
      if (!box) return;
      const [x1, y1, x2, y2] = [box[0] * scale + x, box[1] * scale + y, box[2] * scale + x, box[3] * scale + y];
      context.save();
      context.lineWidth = 1.5;
      context.strokeStyle = '#0b0f13';
      context.fillStyle = '#ffffff';
      if (preview?.index === null) {
        context.setLineDash([4, 3]);
        context.strokeRect(x1, y1, x2 - x1, y2 - y1);
        context.setLineDash([]);
      }
      for (const handleX of [x1, (x1 + x2) / 2, x2]) {
        for (const handleY of [y1, (y1 + y2) / 2, y2]) {
          if (handleX === (x1 + x2) / 2 && handleY === (y1 + y2) / 2) continue;
          const [left, top] = [handleX - HANDLE_SIZE / 2, handleY - HANDLE_SIZE / 2];
          context.fillRect(left, top, HANDLE_SIZE, HANDLE_SIZE);
          context.strokeRect(left, top, HANDLE_SIZE, HANDLE_SIZE);
        }
      }
      context.restore();
    },
    [],
  );
  return { tool, paint, preview };
}
