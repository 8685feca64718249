import type { FramePrediction } from '../../api/stream';
import { readPreference, keepPreference } from '../../lib/preferences';
import type { Size } from '../../lib/viewport';

/** How frames are made small before they are sent. */
export interface FrameSettings {
  /** Longer side, in pixels; smaller pictures stay as they are. */
  readonly longest: number;
  /** Of JPEG, from 0 to 1. */
  readonly quality: number;
}

export const SIZES = ['320', '640', '1280'] as const;

export function readFrameSettings(): FrameSettings {
  const [longest = NaN, quality = NaN] = (readPreference('live.frames') ?? '').split(' ').map(Number);
  return {
    longest: SIZES.some((size) => Number(size) === longest) ? longest : 640,
    quality: quality >= 0.3 && quality <= 1 ? quality : 0.8,
  };
}

export function keepFrameSettings({ longest, quality }: FrameSettings) {
  keepPreference('live.frames', `${longest} ${quality}`);
}

/** The size a frame is sent with: same shape, no side longer than `longest`, none enlarged. */
export function sentSize({ width, height }: Size, longest: number): Size {
  const scale = Math.min(1, longest / Math.max(width, height, 1));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** What a video shows now, as JPEG; null where there is no picture yet. */
export function encodeFrame(
  video: HTMLVideoElement,
  canvas: HTMLCanvasElement,
  { longest, quality }: FrameSettings,
): Promise<Blob | null> {
  if (video.videoWidth === 0) return Promise.resolve(null);
  const { width, height } = sentSize({ width: video.videoWidth, height: video.videoHeight }, longest);
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d')?.drawImage(video, 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', quality));
}

/** A prediction of a frame that was made smaller, in pixels of the video. */
export function inPixelsOf(prediction: FramePrediction, size: Size): FramePrediction {
  const [x, y] = [size.width / prediction.image.width, size.height / prediction.image.height];
  const detections =
    prediction.detections?.map((item) => {
      const [x1, y1, x2, y2] = item.box_xyxy;
      return { ...item, box_xyxy: [x1 * x, y1 * y, x2 * x, y2 * y] as [number, number, number, number] };
    }) ?? null;
  return { image: { ...size }, ranked: prediction.ranked ?? null, detections };
}

/** What the video shows in full size, as a file. */
export async function snapshotOf(video: HTMLVideoElement, name: string): Promise<File | null> {
  const canvas = document.createElement('canvas');
  const blob = await encodeFrame(video, canvas, { longest: Infinity, quality: 0.95 });
  return blob && new File([blob], name, { type: 'image/jpeg' });
}
