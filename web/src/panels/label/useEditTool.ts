import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

import type { StageTool } from '../../components/stage/useGestures';
import { boxAt, type BoxXyxy } from '../../lib/boxes';
import type { Point, Size, View } from '../../lib/viewport';
import { added, dragged, handleAt, MIN_SIDE, spanned, withBox, type Edit, type Handle } from './boxEdit';

const MOUSE_REACH = 8;
/** A finger is broader than a pointer. */
const TOUCH_REACH = 18;
const HANDLE_SIZE = 8;

interface Drag {
  readonly from: Point;
  /** The box that is changed; null where one is drawn. */
  readonly index: number | null;
  readonly handle: Handle;
  readonly before: BoxXyxy;
}

interface EditTool {
  readonly tool: StageTool;
  /** Draws handles, and the box that is being drawn. */
  readonly paint: (context: CanvasRenderingContext2D, view: View) => void;
  /** The boxes as they are while something is dragged. */
  readonly preview: { readonly index: number | null; readonly box: BoxXyxy } | null;
}

/** Draws, moves and resizes boxes with mouse and fingers. */
export function useEditTool(
  edit: Edit,
  size: Size,
  newClass: string,
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
      return dragged(held.before, held.handle, point.x - held.from.x, point.y - held.from.y, size);
    };
    return {
      down: (point, scale, event) => {
        const { edit, onEdit } = latest.current;
        const reach = (event.pointerType === 'touch' ? TOUCH_REACH : MOUSE_REACH) / scale;
        const selected = edit.selected === null ? undefined : edit.boxes[edit.selected];
        const handle = selected ? handleAt(selected.box, point, reach) : null;
        const index = handle === null ? boxAt(edit.boxes, point) : edit.selected;
        const found = index === null ? undefined : edit.boxes[index];
        drag.current = found
          ? { from: point, index, handle: handle ?? 'inside', before: found.box }
          : { from: point, index: null, handle: 'se', before: [point.x, point.y, point.x, point.y] };
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
        const isSlip = !held || Math.hypot(point.x - held.from.x, point.y - held.from.y) < MIN_SIDE;
        if (cancelled || !box || isSlip) return;
        onEdit(held.index === null ? added(edit, { class: newClass, box }) : withBox(edit, held.index, { box }));
      },
    };
  }, []);

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
