import { keepPreference, readPreference } from './preferences';

/** The colour scheme: what the system prefers, unless the visitor chose. */
export type Theme = 'system' | 'light' | 'dark';

export const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

export function readTheme(): Theme {
  const kept = readPreference('theme');
  return THEMES.find((theme) => theme === kept) ?? 'system';
}

/** Shows the page in a theme; tokens.css does the rest. */
export function applyTheme(theme: Theme) {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Shows and remembers it on this device. */
export function chooseTheme(theme: Theme) {
  applyTheme(theme);
  keepPreference('theme', theme);
}
