import { ApiProblem } from './problem';

// The key lives as long as the tab: no other tab, no later visitor finds it.
const NAME = 'visionloop.key';
let memory: string | null = null;

export function apiKey(): string | null {
  try {
    return sessionStorage.getItem(NAME) ?? memory;
  } catch {
    return memory;
  }
}

export function setApiKey(key: string | null) {
  memory = key;
  try {
    if (key === null) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, key);
  } catch {
    // Kept in memory.
  }
}

export function keyHeaders(): Record<string, string> {
  const key = apiKey();
  return key === null ? {} : { 'X-API-Key': key };
}

/** A question to the visitor; answered with whether a key was given. */
export interface KeyQuestion {
  readonly problem: ApiProblem;
  readonly answer: (key: string | null) => void;
}

let open: { question: KeyQuestion; answered: Promise<boolean> } | null = null;
const listeners = new Set<() => void>();

/** The question that is open, for the dialog. */
export function keyQuestion(): KeyQuestion | null {
  return open?.question ?? null;
}

export function onKeyQuestion(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Ask once, however many requests wait for the answer. */
function askForKey(problem: ApiProblem): Promise<boolean> {
  if (open) return open.answered;
  let settle: (given: boolean) => void;
  const answered = new Promise<boolean>((resolve) => (settle = resolve));
  open = {
    answered,
    question: {
      problem,
      answer: (key) => {
        if (key !== null) setApiKey(key);
        open = null;
        listeners.forEach((tell) => tell());
        settle(key !== null);
      },
    },
  };
  listeners.forEach((tell) => tell());
  return answered;
}

/** Run `request`; while it is refused for want of a key, ask for one and run it again. */
export async function withKey<T>(request: () => Promise<T>): Promise<T> {
  for (;;) {
    const used = apiKey();
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof ApiProblem) || !error.needsKey) throw error;
      // Another request may have asked meanwhile.
      if (apiKey() === used && !(await askForKey(error))) throw error;
    }
  }
}
