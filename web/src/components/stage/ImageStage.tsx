import { useEffect, useImperativeHandle, useRef, type KeyboardEvent, type Ref } from 'react';
import type { PressEvent } from 'react-aria-components';
import { useTranslation } from 'react-i18next';

import { boxAt } from '../../lib/boxes';
import { fit, toImage, type Point, type Size, type View } from '../../lib/viewport';
import { IconButton } from '../Button';
import { drawBoxes, type StageBox } from './drawBoxes';
import styles from './ImageStage.module.css';
import { useGestures, type StageTool } from './useGestures';

export interface StageHandle {
  /** Draw again: a video has another frame, or what `paint` shows has changed. */
  redraw: () => void;
  zoomToFit: () => void;
  /** Gives it the keys; the page does not scroll to it. */
  focus: () => void;
}

export interface ImageStageProps {
  /** Picture, bitmap, canvas or video; null while there is none. */
  source: CanvasImageSource | null;
  /** Pixels of the upright image, in which boxes are given. */
  size: Size;
  boxes?: readonly StageBox[] | undefined;
  showLabels?: boolean;
  highlighted?: number | null;
  /** The box under the pointer has changed. */
  onHighlight?: ((index: number | null) => void) | undefined;
  /** Another picture of the same place, such as a heat map, laid over the first. */
  overlay?: CanvasImageSource | null;
  /** From 0 to 1. */
  overlayOpacity?: number;
  /** Read aloud. */
  label: string;
  /** Takes pointers before they pan, such as to draw boxes. */
  tool?: StageTool | undefined;
  /** Takes a key before it moves or zooms the picture; says whether it did. */
  onKey?: ((event: KeyboardEvent) => boolean) | undefined;
  /** Draws above the boxes. */
  paint?: ((context: CanvasRenderingContext2D, view: View) => void) | undefined;
  ref?: Ref<StageHandle>;
}

/**
 * A picture with boxes over it, that can be zoomed and moved with mouse, fingers and keys.
 *
 * The picture and the boxes have a canvas each: filtering five hundred boxes does not draw the picture again.
 */
export function ImageStage(props: ImageStageProps) {
  const { source, size, label, tool, ref } = props;
  const { t } = useTranslation();
  const root = useRef<HTMLDivElement>(null);
  const picture = useRef<HTMLCanvasElement>(null);
  const layer = useRef<HTMLCanvasElement>(null);
  const latest = useRef(props);
  const dirty = useRef({ picture: true, frame: 0 });
  const view = useRef<View>({ scale: 1, x: 0, y: 0 });
  const screen = useRef<Size>({ width: 0, height: 0 });

  const draw = () => {
    dirty.current.frame = 0;
    const now = latest.current;
    if (dirty.current.picture) {
      dirty.current.picture = false;
      drawPicture(picture.current, now, view.current, screen.current);
    }
    drawLayer(layer.current, now, view.current, screen.current);
  };
  const request = (withPicture: boolean) => {
    dirty.current.picture ||= withPicture;
    dirty.current.frame ||= requestAnimationFrame(draw);
  };
  const show = (next: View) => {
    view.current = next;
    // Where the picture is all in sight, a finger scrolls the page; else it moves the picture.
    root.current?.toggleAttribute('data-zoomed', next.scale > fit(latest.current.size, screen.current).scale * 1.001);
    request(true);
  };
  const hover = (point: Point | null) => {
    const { boxes = [], onHighlight, highlighted } = latest.current;
    if (!onHighlight) return;
    const found = point && boxAt(boxes, toImage(view.current, point), 3 / view.current.scale);
    if (found !== (highlighted ?? null)) onHighlight(found);
  };
  const { onKeyDown, zoom } = useGestures({ root, view, screen, latest, show, hover });

  useImperativeHandle(ref, () => ({
    redraw: () => request(true),
    zoomToFit: () => show(fit(latest.current.size, screen.current)),
    focus: () => root.current?.focus({ preventScroll: true }),
  }));
  // Whoever clicks a button means the picture next; whoever presses it with a key may want to press it again.
  const onTool = (act: 'in' | 'out' | 'fit', { pointerType }: PressEvent) => {
    if (act === 'fit') show(fit(latest.current.size, screen.current));
    else zoom(act === 'in' ? 1.5 : 1 / 1.5);
    if (pointerType !== 'keyboard' && pointerType !== 'virtual') root.current?.focus({ preventScroll: true });
  };

  useEffect(() => {
    const before = latest.current;
    latest.current = props;
    const picture =
      before.source !== props.source ||
      before.overlay !== props.overlay ||
      before.overlayOpacity !== props.overlayOpacity;
    request(picture);
  });

  useEffect(() => {
    show(fit({ width: size.width, height: size.height }, screen.current));
    // eslint-disable-next-line react-hooks/exhaustive-deps -- another picture is shown whole; nothing else resets the view
  }, [source, size.width, size.height]);

  useEffect(() => {
    const element = root.current;
    if (!element) return;
    const drawing = dirty.current;
    const observer = new ResizeObserver(([entry]) => {
      if (!entry) return;
      const { width, height } = entry.contentRect;
      screen.current = { width, height };
      for (const canvas of [picture.current, layer.current]) {
        if (!canvas) continue;
        canvas.width = Math.round(width * devicePixelRatio);
        canvas.height = Math.round(height * devicePixelRatio);
      }
      show(fit(latest.current.size, screen.current));
      // The canvases are empty now; waiting for the next frame would show them so.
      cancelAnimationFrame(drawing.frame);
      draw();
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(drawing.frame);
      drawing.frame = 0;
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- everything it uses is read from refs
  }, []);

  return (
    <div className={styles.frame}>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- an application: keys move the picture */}
      <div
        ref={root}
        className={styles.stage}
        data-tool={tool ? (tool.takesTouch ? 'touch' : '') : undefined}
        role="application"
        aria-roledescription={t('stage.role')}
        aria-label={`${label}. ${t('stage.keys')}`}
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- as above
        tabIndex={0}
        onKeyDown={(event: KeyboardEvent) => {
          if (!latest.current.onKey?.(event)) onKeyDown(event);
        }}
      >
        <canvas ref={picture} className={styles.canvas} />
        <canvas ref={layer} className={styles.canvas} />
      </div>
      <div className={styles.tools}>
        <IconButton small icon="plus" label={t('stage.zoom_in')} onPress={(event) => onTool('in', event)} />
        <IconButton small icon="minus" label={t('stage.zoom_out')} onPress={(event) => onTool('out', event)} />
        <IconButton small icon="fit" label={t('stage.fit')} onPress={(event) => onTool('fit', event)} />
      </div>
    </div>
  );
}

/** The canvas's context, cleared, in CSS pixels. */
function cleared(canvas: HTMLCanvasElement | null): CanvasRenderingContext2D | null {
  const context = canvas?.getContext('2d') ?? null;
  if (!canvas || !context) return null;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  return context;
}

function drawPicture(canvas: HTMLCanvasElement | null, props: ImageStageProps, view: View, screen: Size) {
  const context = cleared(canvas);
  if (!context || !props.source || screen.width === 0) return;
  const { width, height } = props.size;
  // Seen where the picture is transparent, with an edge where it is as bright as what is around it.
  drawGround(context, view.x, view.y, width * view.scale, height * view.scale);
  // Far zoomed in, pixels are what one wants to see.
  context.imageSmoothingEnabled = view.scale < 3;
  context.imageSmoothingQuality = 'high';
  context.drawImage(props.source, view.x, view.y, width * view.scale, height * view.scale);
  if (props.overlay) {
    context.globalAlpha = props.overlayOpacity ?? 1;
    context.drawImage(props.overlay, view.x, view.y, width * view.scale, height * view.scale);
    context.globalAlpha = 1;
  }
}

const SQUARE = 8;

let tile: HTMLCanvasElement | null = null;

function checkered(): HTMLCanvasElement {
  if (tile) return tile;
  tile = document.createElement('canvas');
  tile.width = tile.height = 2 * SQUARE;
  const squares = tile.getContext('2d');
  if (!squares) return tile;
  squares.fillStyle = '#ffffff';
  squares.fillRect(0, 0, 2 * SQUARE, 2 * SQUARE);
  squares.fillStyle = '#cfd4d9';
  squares.fillRect(0, 0, SQUARE, SQUARE);
  squares.fillRect(SQUARE, SQUARE, SQUARE, SQUARE);
  return tile;
}

function drawGround(context: CanvasRenderingContext2D, x: number, y: number, width: number, height: number) {
  context.fillStyle = context.createPattern(checkered(), 'repeat') ?? '#ffffff';
  context.fillRect(x, y, width, height);
  context.strokeStyle = 'rgb(127 137 148 / 60%)';
  context.lineWidth = 1;
  context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
}

function drawLayer(canvas: HTMLCanvasElement | null, props: ImageStageProps, view: View, screen: Size) {
  const context = cleared(canvas);
  if (!context || screen.width === 0) return;
  const { boxes = [], showLabels = true, highlighted = null, paint } = props;
  drawBoxes(context, boxes, view, { showLabels, highlighted });
  paint?.(context, view);
}
