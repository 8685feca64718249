import { useEffect, useRef, type KeyboardEvent, type RefObject } from 'react';

import { fit, isFitting, pan, toImage, zoomAt, type Point, type Size, type View } from '../../lib/viewport';

/** Takes a pointer before it pans; points are in pixels of the image. */
export interface StageTool {
  /** Whether the tool wants this pointer; `move` and `up` follow if so. `scale` is screen pixels an image pixel. */
  down: (point: Point, scale: number, event: PointerEvent) => boolean;
  move: (point: Point, scale: number) => void;
  /** Ended; `cancelled` where a second finger came, or the browser took over. */
  up: (point: Point, cancelled: boolean) => void;
  /** Whether it takes fingers as well; else they scroll the page, and move a picture that is zoomed. */
  readonly takesTouch: boolean;
  /** A finger touched and left again, where fingers are not taken. */
  tap: (point: Point) => void;
  /** The pointer's look over a point. */
  cursor: (point: Point, scale: number) => string;
}

interface Gestures {
  root: RefObject<HTMLElement | null>;
  view: RefObject<View>;
  screen: RefObject<Size>;
  latest: RefObject<{ size: Size; tool?: StageTool | undefined }>;
  show: (view: View) => void;
  hover: (point: Point | null) => void;
}

const STEP = 48;
/** A finger that moves less has only touched, in CSS pixels. */
const TAP = 10;

/** Wheel, drag, pinch and keys. */
export function useGestures(gestures: Gestures) {
  const current = useRef(gestures);
  useEffect(() => {
    current.current = gestures;
  });

  const zoomBy = (factor: number, at: Point) => {
    const { view, screen, latest, show } = current.current;
    show(zoomAt(view.current, factor, at, latest.current.size, screen.current));
  };
  const zoom = (factor: number) => {
    const { width, height } = current.current.screen.current;
    zoomBy(factor, { x: width / 2, y: height / 2 });
  };
  const move = (dx: number, dy: number) => {
    const { view, screen, latest, show } = current.current;
    if (isFitting(view.current, latest.current.size, screen.current)) return;
    show(pan(view.current, dx, dy, latest.current.size, screen.current));
  };

  useEffect(() => {
    const element = current.current.root.current;
    if (!element) return;
    const pointers = new Map<number, Point>();
    let tool: StageTool | null = null;
    /** Where a finger came down that has not moved since. */
    let touched: Point | null = null;

    const at = (event: PointerEvent | WheelEvent): Point => {
      const { left, top } = element.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    };
    const inImage = (point: Point) => toImage(current.current.view.current, point);
    const endTool = (point: Point, cancelled: boolean) => {
      tool?.up(inImage(point), cancelled);
      tool = null;
    };

    const onWheel = (event: WheelEvent) => {
      const { view, screen, latest } = current.current;
      // Nothing is left to zoom out of: the page scrolls on.
      if (event.deltaY > 0 && isFitting(view.current, latest.current.size, screen.current)) return;
      event.preventDefault();
      zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), at(event));
    };
    const onDown = (event: PointerEvent) => {
      if (event.button > 0) return;
      const point = at(event);
      pointers.set(event.pointerId, point);
      element.setPointerCapture(event.pointerId);
      if (pointers.size > 1) {
        touched = null;
        if (tool) endTool(point, true);
        return;
      }
      const { latest, view } = current.current;
      const wanted = latest.current.tool;
      const isTouch = event.pointerType === 'touch';
      touched = isTouch ? point : null;
      if (isTouch && !wanted?.takesTouch) return;
      if (wanted?.down(inImage(point), view.current.scale, event)) tool = wanted;
    };
    const onMove = (event: PointerEvent) => {
      const point = at(event);
      const before = pointers.get(event.pointerId);
      if (!before) {
        const { latest, view } = current.current;
        element.style.cursor = latest.current.tool?.cursor(inImage(point), view.current.scale) ?? '';
        current.current.hover(point);
        return;
      }
      if (touched && distance(point, touched) > TAP) touched = null;
      pointers.set(event.pointerId, point);
      if (tool) {
        tool.move(inImage(point), current.current.view.current.scale);
        return;
      }
      if (pointers.size === 1) {
        move(point.x - before.x, point.y - before.y);
        return;
      }
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (!other) return;
      const middle = { x: (point.x + other.x) / 2, y: (point.y + other.y) / 2 };
      zoomBy(distance(point, other) / Math.max(1, distance(before, other)), middle);
      move((point.x - before.x) / 2, (point.y - before.y) / 2);
    };
    const onUp = (event: PointerEvent) => {
      pointers.delete(event.pointerId);
      if (tool) endTool(at(event), event.type === 'pointercancel');
      // A tap tells what lies under the finger.
      else if (event.pointerType === 'touch') {
        current.current.hover(at(event));
        if (touched && event.type === 'pointerup') current.current.latest.current.tool?.tap(inImage(at(event)));
      }
      touched = null;
    };
    const onLeave = (event: PointerEvent) => {
      if (event.pointerType === 'mouse') current.current.hover(null);
    };
    const onDouble = (event: MouseEvent) => {
      const { left, top } = element.getBoundingClientRect();
      zoomBy(2, { x: event.clientX - left, y: event.clientY - top });
    };

    element.addEventListener('wheel', onWheel, { passive: false });
    element.addEventListener('pointerdown', onDown);
    element.addEventListener('pointermove', onMove);
    element.addEventListener('pointerup', onUp);
    element.addEventListener('pointercancel', onUp);
    element.addEventListener('pointerleave', onLeave);
    element.addEventListener('dblclick', onDouble);
    return () => {
      element.removeEventListener('wheel', onWheel);
      element.removeEventListener('pointerdown', onDown);
      element.removeEventListener('pointermove', onMove);
      element.removeEventListener('pointerup', onUp);
      element.removeEventListener('pointercancel', onUp);
      element.removeEventListener('pointerleave', onLeave);
      element.removeEventListener('dblclick', onDouble);
    };
     
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { screen, latest, show } = current.current;
    const actions: Record<string, () => void> = {
      '+': () => zoom(1.25),
      '=': () => zoom(1.25),
      '-': () => zoom(0.8),
      '0': () => show(fit(latest.current.size, screen.current)),
      ArrowLeft: () => move(STEP, 0),
      ArrowRight: () => move(-STEP, 0),
      ArrowUp: () => move(0, STEP),
      ArrowDown: () => move(0, -STEP),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  };

  return { onKeyDown, zoom };
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
