/** Why there is no camera; messages for it stand under `try.<fault>`. */
export type CameraFault = 'camera_denied' | 'camera_none' | 'camera_busy' | 'camera_insecure';

/** Which camera: one by its id, or one that looks to a side. */
export type CameraChoice = { readonly deviceId: string } | { readonly facingMode: 'environment' | 'user' };

/** @throws DOMException, of which `cameraFault` makes something to say. */
export async function openCamera(choice: CameraChoice): Promise<MediaStream> {
  const which = 'deviceId' in choice ? { deviceId: { exact: choice.deviceId } } : choice;
  const video = { ...which, width: { ideal: 1920 }, height: { ideal: 1080 } };
  return devices().getUserMedia({ video, audio: false });
}

/** The cameras that the browser tells of; their names only once one was allowed. */
export async function listCameras(): Promise<MediaDeviceInfo[]> {
  const found = await devices().enumerateDevices();
  return found.filter(({ kind }) => kind === 'videoinput');
}

export function closeCamera(stream: MediaStream) {
  for (const track of stream.getTracks()) track.stop();
}

export function cameraFault(error: unknown): CameraFault {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'SecurityError') return 'camera_insecure';
  if (name === 'NotReadableError' || name === 'AbortError') return 'camera_busy';
  return name === 'NotAllowedError' ? 'camera_denied' : 'camera_none';
}

function devices(): MediaDevices {
  // Types promise it; browsers leave it out of pages that came over plain http.
  const found = navigator.mediaDevices as MediaDevices | undefined;
  if (!found) throw new DOMException('no secure context', 'SecurityError');
  return found;
}
