import i18next, { type FormatterModule } from 'i18next';
import { initReactI18next } from 'react-i18next';

import { numbers } from './numbers';
import { keepPreference, readPreference } from './preferences';

// A language is a file of this folder: add `fr.json` and the page speaks French.
const files = import.meta.glob<Record<string, unknown>>('../messages/*.json', { import: 'default' });

export const LANGUAGES: readonly string[] = Object.keys(files)
  .map((path) => /([a-z-]+)\.json$/i.exec(path)?.[1] ?? '')
  .sort();

const FALLBACK = 'en';

/** The kept language, else the first of the browser's that there is, else English. */
export function preferredLanguage(kept: string | null, asked: readonly string[]): string {
  const wanted = kept === null ? asked : [kept, ...asked];
  for (const language of wanted) {
    const found = LANGUAGES.find((name) => name === language || language.startsWith(`${name}-`));
    if (found !== undefined) return found;
  }
  return FALLBACK;
}

/** Numbers in messages are written as the language writes them. */
const formatter: FormatterModule = {
  type: 'formatter',
  init: () => undefined,
  add: () => undefined,
  addCached: () => undefined,
  // What a panel has written itself comes as text.
  format: (value: unknown, _format, language) => {
    if (typeof value !== 'number') return value as string;
    const { count, number } = numbers(language ?? FALLBACK);
    return Number.isInteger(value) ? count(value) : number(value);
  },
};

export async function startMessages(): Promise<void> {
  const language = preferredLanguage(readPreference('language'), navigator.languages);
  await i18next.use(formatter).use(initReactI18next).init({
    lng: language,
    fallbackLng: FALLBACK,
    resources: { [language]: { translation: await load(language) } },
    interpolation: { escapeValue: false, alwaysFormat: true }, // React escapes.
  });
  document.documentElement.lang = language;
}

export async function chooseLanguage(language: string): Promise<void> {
  if (!i18next.hasResourceBundle(language, 'translation')) {
    i18next.addResourceBundle(language, 'translation', await load(language));
  }
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
  keepPreference('language', language);
}

/** A language's name in itself, such as Deutsch. */
export function languageName(language: string): string {
  return new Intl.DisplayNames([language], { type: 'language' }).of(language) ?? language;
}

async function load(language: string): Promise<Record<string, unknown>> {
  const file = files[`../messages/${language}.json`];
  if (!file) throw new Error(`there is no message file for ${language}`);
  return file();
}
