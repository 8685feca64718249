import { useTranslation } from 'react-i18next';

import { Card } from '../../components/Card';
import { DataTable, Nothing } from './ChartCard';
import { useFormats } from './format';
import { Histogram } from './Histogram';
import { NewImages } from './NewImages';
import { toneOf, verdictOf } from './Overview';
import { groupTests } from './rows';
import { Tag, type Tone } from './Tag';
import styles from './Watch.module.css';
import type { DriftReport, DriftTest } from './watch';

const SHOWN_WINDOWS = 12;
const SHOWN_CLASSES = 12;
const TONES: Readonly<Record<DriftReport['status'], Tone>> = {
  ok: 'good',
  drift: 'warning',
  critical: 'bad',
  insufficient_data: 'neutral',
};

/** What the service sees, compared with what its model was made for. */
export function Drift({ report, problem }: { report: DriftReport | null; problem: string | null }) {
  const { t } = useTranslation();
  const format = useFormats();
  return (
    <div id="watch-drift" className={styles.anchor}>
      <Card title={t('watch.drift.title')} aside={report && t('watch.drift.checked', { when: format.moment(report.created_at) })}>
        {problem !== null && <p className={styles.warning}>{problem}</p>}
        {report === null ? <Nothing text={t('watch.drift.empty')} /> : <Report report={report} />}
      </Card>
    </div>
  );
}

function Report({ report }: { report: DriftReport }) {
  const { t } = useTranslation();
  const format = useFormats();
  const latest = report.windows[report.latest];
  return (
    <>
      <div className={styles.line}>
        <Tag tone={toneOf(report)}>{t(`watch.drift.verdict.${verdictOf(report)}`)}</Tag>
        <p>
          {report.alarm === null && latest && report.num_looked_at === 0
            ? t('watch.drift.too_few', { found: format.count(latest.num_images), needed: format.count(latest.num_required) })
            : t('watch.drift.sentence', { count: report.num_looked_at, drifted: report.num_drifted })}
        </p>
      </div>
      <p className={styles.note}>
        {t('watch.drift.basis', {
          model: `${report.model} ${report.version}`,
          measured: format.count(report.num_measured),
          stored: format.count(report.num_stored),
          reference: format.count(report.num_reference),
        })}
        {!report.is_champion && ` ${t('watch.drift.other_champion')}`}
      </p>
      <Windows report={report} />
      {report.tests.length > 0 && <Tests tests={withClasses(report)} alpha={report.alpha} />}
      {report.classes.length > 0 && <Classes report={report} />}
      {report.newest.length > 0 && <NewImages images={report.newest} />}
      {report.remarks.length > 0 && (
        <details className={styles.more}>
          <summary>{t('watch.drift.remarks', { count: report.remarks.length })}</summary>
          <ul className={styles.remarks}>
            {report.remarks.map((remark) => (
              <li key={remark}>{remark}</li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

/** The tests, that of the classes with the shares as its distribution. */
function withClasses({ tests, classes }: DriftReport): DriftTest[] {
  const histogram = {
    edges: [],
    reference: classes.map(({ reference }) => reference),
    window: classes.map(({ window }) => window),
  };
  return tests.map((test) => (test.name === 'classes' ? { ...test, histogram } : test));
}

function Windows({ report }: { report: DriftReport }) {
  const { t } = useTranslation();
  const format = useFormats();
  const shown = report.windows.slice(-SHOWN_WINDOWS);
  return (
    <section className={styles.part}>
      <h3>{t('watch.drift.windows')}</h3>
      <ol className={styles.windows}>
        {shown.map((window, index) => (
          <li key={index} data-tone={TONES[window.status]}>
            <strong>{t(`watch.drift.status.${window.status}`)}</strong>
            <span>
              {window.status === 'insufficient_data'
                ? t('watch.drift.filled', { found: format.count(window.num_images), needed: format.count(window.num_required) })
                : t('watch.drift.window_drifted', { count: window.drifted.length })}
            </span>
            <span className={styles.note}>{window.last_at ? format.moment(window.last_at) : '–'}</span>
          </li>
        ))}
      </ol>
      <p className={styles.note}>{t('watch.drift.windows_note', { needed: format.count(shown.at(-1)?.num_required ?? 0) })}</p>
    </section>
  );
}

function Tests({ tests, alpha }: { tests: readonly DriftTest[]; alpha: number }) {
  const { t } = useTranslation();
  const format = useFormats();
  const name = (test: DriftTest) => t(`watch.drift.tests.${test.name}`, { defaultValue: test.name.replaceAll('_', ' ') });
  const { drifted, same, untested } = groupTests(tests);
  return (
    <section className={styles.part}>
      <h3>{t('watch.drift.changed')}</h3>
      <p className={styles.note}>{t('watch.drift.changed_note', { alpha: format.percent(alpha) })}</p>
      <Features tests={drifted} name={name} />
      {drifted.length === 0 && <Nothing icon="check" text={t('watch.drift.unchanged')} />}
      {same.length > 0 && (
        <details className={styles.more}>
          <summary>{t('watch.drift.same', { count: same.length })}</summary>
          <Features tests={same} name={name} />
        </details>
      )}
      {untested.length > 0 && (
        <p className={styles.note}>
          {t('watch.drift.untested', {
            names: untested.map((test) => `${name(test)} (${t(`watch.drift.outcome.${test.outcome}`, { defaultValue: test.outcome })})`).join(', '),
          })}
        </p>
      )}
      <details className={styles.more}>
        <summary>{t('watch.drift.as_table')}</summary>
        <DataTable
          title={t('watch.drift.changed')}
          columns={[t('watch.drift.what'), t('watch.drift.verdict_head'), t('watch.drift.p'), t('watch.drift.effect'), t('watch.drift.reference'), t('watch.drift.window')]}
          rows={[...drifted, ...same].map((test) => [
            name(test),
            t(test.drifted ? 'watch.drift.different' : 'watch.drift.alike'),
            test.p_adjusted === null ? '–' : format.p(test.p_adjusted),
            test.effect === null ? '–' : `${effectName(test)} ${format.number(test.effect)}`,
            median(test.reference_median, test, format.number),
            median(test.window_median, test, format.number),
          ])}
        />
      </details>
    </section>
  );
}

function Features({ tests, name }: { tests: readonly DriftTest[]; name: (test: DriftTest) => string }) {
  const { t } = useTranslation();
  const format = useFormats();
  return (
    <ul className={styles.features}>
      {tests.map((test) => (
        <li key={test.name} data-drifted={test.drifted || undefined}>
          <p className={styles.line}>
            <strong>{name(test)}</strong>
            <Tag tone={test.drifted ? 'warning' : 'good'}>{t(test.drifted ? 'watch.drift.different' : 'watch.drift.alike')}</Tag>
          </p>
          {test.histogram && (
            <>
              <Histogram
                reference={test.histogram.reference}
                window={test.histogram.window}
                isDrifted={test.drifted}
                label={t('watch.drift.histogram', {
                  name: name(test),
                  reference: median(test.reference_median, test, format.number),
                  window: median(test.window_median, test, format.number),
                })}
              />
              {test.histogram.edges.length > 1 && (
                <p className={styles.scale} aria-hidden="true">
                  <span>{format.number(test.histogram.edges[0] ?? 0)}</span>
                  <span>{test.unit}</span>
                  <span>{format.number(test.histogram.edges.at(-1) ?? 0)}</span>
                </p>
              )}
            </>
          )}
          <p className={styles.note}>
            {test.effect !== null && `${effectName(test)} ${format.number(test.effect)}`}
            {test.p_adjusted !== null && ` · p ${format.p(test.p_adjusted)}`}
            {test.reference_median !== null &&
              ` · ${t('watch.drift.medians', { reference: format.number(test.reference_median), window: median(test.window_median, test, format.number) })}`}
          </p>
        </li>
      ))}
    </ul>
  );
}

function effectName({ effect_name: name }: DriftTest): string {
  return name === 'MMD2' ? 'MMD²' : name;
}

function median(value: number | null, { unit }: DriftTest, number: (value: number) => string): string {
  return value === null ? '–' : `${number(value)}${unit ? ` ${unit}` : ''}`;
}

function Classes({ report }: { report: DriftReport }) {
  const { t } = useTranslation();
  const format = useFormats();
  const shown = [...report.classes]
    .sort((a, b) => Math.max(b.reference, b.window) - Math.max(a.reference, a.window))
    .slice(0, SHOWN_CLASSES)
    .sort((a, b) => a.class.localeCompare(b.class, 'en', { numeric: true }));
  const most = Math.max(0.01, ...shown.flatMap(({ reference, window }) => [reference, window]));
  return (
    <section className={styles.part}>
      <h3>{t('watch.drift.classes')}</h3>
      <p className={styles.note}>
        {t('watch.drift.classes_note')}
        {shown.length < report.classes.length && ` ${t('watch.drift.classes_cut', { shown: shown.length, all: report.classes.length })}`}
      </p>
      <ul className={styles.pairs}>
        {shown.map(({ class: name, reference, window }) => (
          <li key={name}>
            <span>{name}</span>
            <span className={styles.pair} aria-hidden="true">
              <span data-side="reference" style={{ width: `${(100 * reference) / most}%` }} />
              <span data-side="window" style={{ width: `${(100 * window) / most}%` }} />
            </span>
            <span className={styles.note}>{t('watch.drift.shares', { reference: format.percent(reference), window: format.percent(window) })}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
