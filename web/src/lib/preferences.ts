/** Small choices kept on this device; where the browser keeps nothing they last as long as the page. */
const PREFIX = 'visionloop.';

export function readPreference(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

export function keepPreference(name: string, value: string) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // A private window may refuse.
  }
}
