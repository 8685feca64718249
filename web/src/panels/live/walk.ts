/** As much of a `FrameStream` as is needed here. */
interface Frames {
  readonly isFree: boolean;
  readonly pending: number;
  send: (data: Blob, time: number) => void;
  changed: () => Promise<void>;
}

interface Walk {
  readonly seek: (time: number) => Promise<void>;
  readonly encode: () => Promise<Blob | null>;
  readonly stream: Frames;
  readonly signal: AbortSignal;
}

/**
 * Show a video frame by frame and send each; what is shown is what is being asked about.
 *
 * @returns whether all were answered; false once `signal` is aborted.
 */
export async function walk(times: readonly number[], { seek, encode, stream, signal }: Walk): Promise<boolean> {
  // A function, since it changes while something is waited for.
  const isOver = () => signal.aborted;
  for (const time of times) {
    if (isOver()) return false;
    await seek(time);
    const data = await encode();
    while (!stream.isFree && !isOver()) await stream.changed();
    if (isOver()) return false;
    if (data) stream.send(data, time);
    while (stream.pending > 0 && !isOver()) await stream.changed();
  }
  return !isOver();
}

/** Resolves once the video shows the frame at `time`. */
export function seek(video: HTMLVideoElement, time: number): Promise<void> {
  if (Math.abs(video.currentTime - time) < 1e-4 && video.readyState >= video.HAVE_CURRENT_DATA && !video.seeking) {
    return Promise.resolve();
  }
  return new Promise((resolve, reject) => {
    const done = () => {
      video.removeEventListener('seeked', done);
      video.removeEventListener('error', fail);
      resolve();
    };
    const fail = () => {
      video.removeEventListener('seeked', done);
      video.removeEventListener('error', fail);
      reject(new Error(video.error?.message ?? 'the video cannot be read'));
    };
    video.addEventListener('seeked', done);
    video.addEventListener('error', fail);
    video.currentTime = time;
  });
}

/** Seconds of a video; recordings of browsers do not say how long they are until they are read to the end. */
export async function durationOf(video: HTMLVideoElement): Promise<number> {
  if (Number.isFinite(video.duration)) return video.duration;
  await seek(video, 1e9);
  const duration = Number.isFinite(video.duration) ? video.duration : video.currentTime;
  await seek(video, 0);
  return duration;
}
