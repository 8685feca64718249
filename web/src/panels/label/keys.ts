/** The class that each number key chooses: one named by a digit has that key, the others get the free ones in order. */
export function numberKeys(classes: readonly string[]): ReadonlyMap<string, string> {
  const keys = new Map<string, string>();
  for (const name of classes) if (/^\d$/.test(name)) keys.set(name, name);
  const free = '1234567890'.split('').filter((key) => !keys.has(key));
  for (const name of classes) {
    if (/^\d$/.test(name)) continue;
    const key = free.shift();
    if (key === undefined) break;
    keys.set(key, name);
  }
  return keys;
}

/** Whether a key pressed there is meant for what has the focus: text, a choice, a dialog. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('input, select, textarea, [role=dialog], [contenteditable]') !== null;
}

/** Whether Enter presses what has the focus. */
export function isPressable(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('button, a, summary, [role=menuitem]') !== null;
}

/** Whether keys pressed there may judge: in the panel, or where nothing has the focus; not in the menu around it. */
export function isInPanel(target: EventTarget | null): boolean {
  return target instanceof Element && (target === document.body || target.closest('main') !== null);
}
