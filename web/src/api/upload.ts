import { keyHeaders, withKey } from './key';
import { connectionLost, problemOf, unreachable } from './problem';

export interface UploadOptions {
  /** Told the share of the body that is sent, from 0 to 1; 1 once the service works on it. */
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
  /** How the answer is read. */
  as?: 'json' | 'blob';
}

/**
 * Post a form, or a file of a type; XMLHttpRequest, because fetch does not tell how far an upload is.
 *
 * @throws ApiProblem for a refusal or a lost connection; DOMException `AbortError` once cancelled.
 */
export function upload(url: string, body: FormData | Blob, options: UploadOptions = {}): Promise<unknown> {
  return withKey(() => send(url, body, options));
}

function send(url: string, body: FormData | Blob, { onProgress, signal, as = 'json' }: UploadOptions): Promise<unknown> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(aborted());
      return;
    }
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    let sent = 0;
    request.open('POST', url);
    request.responseType = 'blob';
    for (const [name, value] of Object.entries(keyHeaders())) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total, lengthComputable }) => {
      sent = loaded;
      if (lengthComputable) onProgress?.(loaded / total);
    };
    request.upload.onload = () => onProgress?.(1);
    request.onload = () => {
      const ok = request.status >= 200 && request.status < 300;
      const blob = request.response as Blob;
      if (ok && as === 'blob') resolve(blob);
      else {
        void blob.text().then((text) => {
          const answer = parsed(text);
          if (ok && answer !== undefined) resolve(answer);
          else reject(problemOf(request.status, answer, (name) => request.getResponseHeader(name)));
        }, reject);
      }
    };
    request.onerror = () => reject(sent > 0 ? connectionLost() : unreachable());
    request.onabort = () => reject(aborted());
    request.onloadend = () => signal?.removeEventListener('abort', abort);
    signal?.addEventListener('abort', abort);
    request.send(body);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function aborted(): DOMException {
  return new DOMException('cancelled', 'AbortError');
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}
