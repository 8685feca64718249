import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { Schemas, TaskAnswer } from '../../api/client';
import { Button } from '../../components/Button';
import { Card } from '../../components/Card';
import { useNumbers } from '../../lib/numbers';
import styles from './ClassificationCard.module.css';
import { Footnote, modelName } from './Footnote';

const FEW = 5;
/** Longer names are written smaller: they would take half the card. */
const LONG_NAME = 20;

interface ClassificationCardProps {
  answer: TaskAnswer;
  ranked: readonly Schemas['Scored'][];
}

/** The most probable class, the others as bars, and what the number means. */
export function ClassificationCard({ answer, ranked }: ClassificationCardProps) {
  const { t } = useTranslation();
  const [isLong, setLong] = useState(false);
  const { finePercent, percent } = useNumbers();
  const [best] = ranked;
  if (!best) return null;
  const rows = isLong ? ranked : ranked.slice(0, FEW);
  return (
    <Card title={t('task.classification')} aside={modelName(t, answer)}>
      <p className={styles.best} data-long={best.class.length > LONG_NAME ? '' : undefined}>
        <strong>{best.class}</strong>
        <span>{finePercent(best.score)}</span>
      </p>
      <ol className={styles.bars} aria-label={t('try.classes')}>
        {rows.map((row, rank) => (
          <li key={row.class_id} data-best={rank === 0 ? '' : undefined}>
            <span className={styles.name} title={row.class}>
              {row.class}
            </span>
            <span className={styles.rail} aria-hidden="true">
              <span style={{ width: `${row.score * 100}%` }} />
            </span>
            <span className={styles.percent}>{finePercent(row.score)}</span>
          </li>
        ))}
      </ol>
      {ranked.length > FEW && (
        <div>
          <Button small kind="quiet" onPress={() => setLong(!isLong)}>
            {isLong ? t('try.less') : t('try.more', { count: ranked.length })}
          </Button>
        </div>
      )}
      <Footnote answer={answer}>
        {t('try.confidence_about', {
          percent: percent(best.score),
          number: Math.round(best.score * 100),
        })}
      </Footnote>
    </Card>
  );
}
