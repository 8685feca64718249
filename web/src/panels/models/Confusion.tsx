import { useTranslation } from 'react-i18next';

import { useNumbers } from '../../lib/numbers';
import styles from './Models.module.css';
import { confusionOf, type Table } from './report';
import own from './Report.module.css';
import { ScrollTable } from './ScrollTable';

const MOST_CLASSES = 20;
const MOST_MISTAKES = 12;
/** Names no longer than this stand upright above their columns. */
const SHORT = 3;

/** What was taken for what: as a matrix where that can be read, and the most frequent mistakes in words. */
export function Confusion({ table, names }: { table: Table; names: readonly string[] }) {
  const { t } = useTranslation();
  const { classes, counts, mistakes } = confusionOf(table, names);
  const numbers = useNumbers();
  return (
    <section className={own.part}>
      <h5>{t('models.report.confusion')}</h5>
      {classes.length <= MOST_CLASSES && (
        <>
          <p className={styles.note}>{t('models.report.confusion_about')}</p>
          <ScrollTable label={t('models.report.confusion')} className={own.matrix ?? ''}>
            <thead>
              <tr data-short={classes.every((name) => name.length <= SHORT) ? '' : undefined}>
                <td />
                {classes.map((name) => (
                  <th key={name} scope="col" title={name}>
                    <span>{name}</span>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {counts.map((row, index) => {
                const total = row.reduce((sum, count) => sum + count, 0);
                return (
                  <tr key={classes[index]}>
                    <th scope="row" title={classes[index]}>
                      <span>{classes[index]}</span>
                    </th>
                    {row.map((count, column) => (
                      <td
                        key={column}
                        data-right={index === column ? '' : undefined}
                        style={{ background: shade(index === column, total > 0 ? count / total : 0) }}
                        title={t('models.report.cell', {
                          count,
                          actual: classes[index],
                          predicted: classes[column],
                          total,
                        })}
                      >
                        {count > 0 ? numbers.count(count) : <span className={own.none}>0</span>}
                      </td>
                    ))}
                  </tr>
                );
              })}
            </tbody>
          </ScrollTable>
        </>
      )}
      {mistakes.length > 0 ? (
        <>
          <h6>{t('models.report.mistakes')}</h6>
          <ol className={own.mistakes}>
            {mistakes.slice(0, MOST_MISTAKES).map(({ actual, predicted, count }) => (
              <li key={`${actual}\n${predicted}`}>
                <span className={own.name}>{t('models.report.taken_for', { actual, predicted })}</span>{' '}
                <span className={styles.number}>{numbers.count(count)}</span>
              </li>
            ))}
          </ol>
        </>
      ) : (
        <p className={styles.note}>{t('models.report.no_mistakes')}</p>
      )}
    </section>
  );
}

/** Never so strong that the number on it could not be read, in light and in dark. */
function shade(isRight: boolean, share: number): string {
  return `color-mix(in srgb, var(${isRight ? '--accent' : '--danger'}) ${Math.round(45 * share)}%, var(--sunken))`;
}
