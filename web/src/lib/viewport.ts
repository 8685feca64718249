/** Sizes and points in CSS pixels (screen) or pixels of the upright image. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Where the image lies on the screen: screen = image * scale + (x, y). */
export interface View {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

const MAX_FIT = 24;
/** A small image is enlarged to so many pixels of the screen, not to all that a large screen has. */
const MAX_ENLARGED = 800;
const MAX_SCALE = 64;
/** How much of the image's side stays in sight however far it is moved. */
const KEEP = 48;

/** The whole image, centred, with a margin around it. Small images are enlarged. */
export function fit(image: Size, screen: Size, margin = 16): View {
  const width = Math.max(1, screen.width - 2 * margin);
  const height = Math.max(1, screen.height - 2 * margin);
  const most = Math.min(MAX_FIT, Math.max(1, MAX_ENLARGED / Math.max(image.width, image.height)));
  const scale = Math.min(width / image.width, height / image.height, most);
  return {
    scale,
    x: (screen.width - image.width * scale) / 2,
    y: (screen.height - image.height * scale) / 2,
  };
}

/** Zoom by a factor, with what lies under `at` (screen) staying there. Never smaller than fitting. */
export function zoomAt(view: View, factor: number, at: Point, image: Size, screen: Size): View {
  const least = fit(image, screen).scale;
  const scale = Math.min(Math.max(view.scale * factor, least), Math.max(MAX_SCALE, least));
  if (scale === least) return fit(image, screen);
  const ratio = scale / view.scale;
  return keepInSight(
    { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio },
    image,
    screen,
  );
}

export function pan(view: View, dx: number, dy: number, image: Size, screen: Size): View {
  return keepInSight({ ...view, x: view.x + dx, y: view.y + dy }, image, screen);
}

export function isFitting(view: View, image: Size, screen: Size): boolean {
  return view.scale <= fit(image, screen).scale * 1.001;
}

export function toImage(view: View, point: Point): Point {
  return { x: (point.x - view.x) / view.scale, y: (point.y - view.y) / view.scale };
}

export function toScreen(view: View, point: Point): Point {
  return { x: point.x * view.scale + view.x, y: point.y * view.scale + view.y };
}

function keepInSight(view: View, image: Size, screen: Size): View {
  return {
    scale: view.scale,
    x: clamp(view.x, KEEP - image.width * view.scale, screen.width - KEEP),
    y: clamp(view.y, KEEP - image.height * view.scale, screen.height - KEEP),
  };
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, Math.min(low, high)), Math.max(low, high));
}
