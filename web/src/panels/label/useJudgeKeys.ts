import { useEffect } from 'react';

import { isInPanel, isPressable, isTyping, numberKeys } from './keys';

/** What keys do; null where it cannot be done now. */
interface JudgeActions {
  onClass: (name: string) => void;
  onAccept: () => void;
  onWrong: () => void;
  onSkip: () => void;
  onUndo: (() => void) | null;
  /** Of the selected box. */
  onRemove: (() => void) | null;
  onDeselect: (() => void) | null;
}

/**
 * The keys of the picture: they judge while it, or nothing, has the focus.
 *
 * Numbers and letters do so from everywhere in the panel; Enter belongs to a link, button or field that has the focus.
 */
export function useJudgeKeys(isOn: boolean, classes: readonly string[], does: JudgeActions) {
  useEffect(() => {
    if (!isOn) return;
    const keys = numberKeys(classes);
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.altKey || !isInPanel(event.target) || isTyping(event.target)) return;
      const isUndo = (event.ctrlKey || event.metaKey) && event.key === 'z';
      if ((event.ctrlKey || event.metaKey) && !isUndo) return;
      const named = keys.get(event.key);
      const actions: Record<string, (() => void) | null> = {
        s: does.onSkip,
        u: does.onUndo,
        w: does.onWrong,
        // A key that is held down would judge one picture after another.
        Enter: isPressable(event.target) || event.repeat ? null : does.onAccept,
        Delete: does.onRemove,
        Backspace: does.onRemove,
        Escape: does.onDeselect,
      };
      const action = isUndo ? does.onUndo : named === undefined ? actions[event.key] : () => does.onClass(named);
      if (!action) return;
      event.preventDefault();
      event.stopPropagation();
      action();
    };
    // Before the page's own: a button that has the focus would keep keys to itself.
    window.addEventListener('keydown', onKeyDown, true);
    return () => window.removeEventListener('keydown', onKeyDown, true);
  });
}
