import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { asProblem } from '../../api/problem';
import { Button } from '../../components/Button';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Segments } from '../../components/Segments';
import { Skeleton } from '../../components/Skeleton';
import { ClassTable } from './ClassTable';
import { Confusion } from './Confusion';
import { PrecisionRecall, Reliability } from './Curves';
import { Examples } from './Examples';
import { metricText, type Version } from './history';
import { MetricName, metricWord } from './Metric';
import { ModelCard } from './ModelCard';
import styles from './Models.module.css';
import { tableOf, useReport, type Report as Content } from './report';
import own from './Report.module.css';

const PARTS = ['numbers', 'errors', 'examples', 'card'] as const;

/** A version's evaluation and model card, to be read in place. */
export default function Report({ version, onClose }: { version: Version; onClose: () => void }) {
  const { t } = useTranslation();
  const heading = useRef<HTMLHeadingElement>(null);
  const report = useReport(version.report ?? null);
  const [part, setPart] = useState<(typeof PARTS)[number]>('numbers');
  // Whoever asked for it by keys goes on from here.
  useEffect(() => heading.current?.focus(), [version.version]);
  return (
    <section className={own.report} aria-labelledby="report-title">
      <header className={own.head}>
        <h4 id="report-title" ref={heading} tabIndex={-1}>
          {t('models.report.title', { version: version.version })}
        </h4>
        <Button small kind="quiet" icon="close" onPress={onClose}>
          {t('app.close')}
        </Button>
      </header>
      {report.error && <ProblemMessage problem={asProblem(report.error)} onRetry={() => void report.refetch()} />}
      {report.isPending && <Skeleton height={240} />}
      {report.data && (
        <>
          <Segments
            label={t('models.report.parts')}
            value={part}
            options={PARTS.map((id) => ({ id, text: t(`models.report.part.${id}`) }))}
            onChange={setPart}
          />
          {part === 'numbers' && (
            <>
              <Facts report={report.data} />
              <ClassTable report={report.data} />
            </>
          )}
          {part === 'errors' && <Errors report={report.data} />}
          {part === 'examples' && <Examples reportId={version.report ?? ''} examples={report.data.examples} />}
          {part === 'card' && <ModelCard source={report.data.card} />}
        </>
      )}
    </section>
  );
}

function Errors({ report }: { report: Content }) {
  const { t } = useTranslation();
  const names = report.classes.map(({ class: name }) => name);
  const [confusion, curves, reliability] = ['confusion', 'pr_curve', 'reliability'].map((name) => tableOf(report, name));
  if (!confusion && !curves && !reliability) return <p className={styles.note}>{t('models.report.no_tables')}</p>;
  return (
    <>
      {confusion && <Confusion table={confusion} names={names} />}
      {curves && <PrecisionRecall table={curves} names={names} />}
      {reliability && <Reliability table={reliability} />}
    </>
  );
}

/** What was measured on what, and the numbers of the whole. */
function Facts({ report }: { report: Content }) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const { primary_metric: primary, metrics, intervals, num_images: count } = report;
  const known = Object.keys(metrics).filter((name) => name !== primary && metrics[name] !== null);
  const names = [primary, ...known];
  const unknown = Object.keys(metrics).filter((name) => name !== primary && metrics[name] === null);
  // Settings within settings say nothing to whoever reads this.
  const plain = Object.entries(report.runtime).filter((entry): entry is [string, string | number] => {
    const value = entry[1];
    return typeof value === 'string' || typeof value === 'number';
  });
  const engine = plain.map(([name, value]) =>
    value === 0 && name === 'threads'
      ? t('models.report.all_cores')
      : t(`models.report.runtime.${name}`, { value, defaultValue: `${name.replaceAll('_', ' ')} ${value}` }),
  );
  return (
    <section className={own.part}>
      <p>
        {t('models.report.measured', {
          count,
          split: report.split,
          dataset: report.dataset,
          hash: report.dataset_hash.slice(0, 12),
        })}
      </p>
      <dl className={own.facts}>
        {names.map((name) => (
          <div key={name} data-primary={name === primary ? '' : undefined}>
            <dt>
              <MetricName name={name} />
            </dt>
            <dd>
              <span>{metricText(name, metrics[name] ?? null, language)}</span>
              {intervals[name] && (
                <span className={styles.note}>
                  {t('models.interval', {
                    low: metricText(name, intervals[name][0], language),
                    high: metricText(name, intervals[name][1], language),
                  })}
                </span>
              )}
            </dd>
          </div>
        ))}
        <div>
          <dt>{t('models.report.latency')}</dt>
          <dd>{metricText('latency_ms', report.latency_ms, language)}</dd>
        </div>
        <div>
          <dt>{t('models.report.size')}</dt>
          <dd>{metricText('model_mb', report.model_mb, language)}</dd>
        </div>
      </dl>
      {unknown.length > 0 && (
        <p className={styles.note}>
          {t('models.report.unmeasured', { names: unknown.map((name) => metricWord(t, name)).join('; ') })}
        </p>
      )}
      <p className={styles.note}>{t('models.report.engine', { engine: engine.join(', ') })}</p>
    </section>
  );
}
