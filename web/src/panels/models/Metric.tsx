import type { TFunction } from 'i18next';
import { useTranslation } from 'react-i18next';

import { metricText } from './history';
import styles from './Models.module.css';

/** What a metric is called by people; its name in code where nobody has given it another. */
export function metricWord(t: TFunction, name: string): string {
  return t(`models.metrics.${name}`, { defaultValue: name });
}

/** A metric's name in words, with the one that settings and files have for it. */
export function MetricName({ name }: { name: string }) {
  const { t } = useTranslation();
  const word = metricWord(t, name);
  if (word === name) return <code>{name}</code>;
  if (word.toLowerCase() === name) return <>{word}</>;
  return (
    <>
      {word} <code className={styles.code}>{name}</code>
    </>
  );
}

/** An interval beside its number, in one line. */
export function Bounds({ name, interval }: { name: string; interval: readonly [number, number] | null | undefined }) {
  const { t, i18n } = useTranslation();
  if (!interval) return null;
  const [low, high] = interval.map((value) => metricText(name, value, i18n.language));
  return (
    <span className={styles.bounds} title={t('models.interval', { low, high })}>
      {low} – {high}
    </span>
  );
}
