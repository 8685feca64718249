import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import { useModels, type Model } from '../../api/client';
import { asProblem } from '../../api/problem';
import { IconButton } from '../../components/Button';
import { EmptyState } from '../../components/EmptyState';
import { PageHead } from '../../components/PageHead';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Segments } from '../../components/Segments';
import { Skeleton } from '../../components/Skeleton';
import { AccuracyCard } from './AccuracyCard';
import { Alerts } from './Alerts';
import { Asked, isForbidden } from './Asked';
import { ComparisonCard } from './ComparisonCard';
import type { ChartMark } from './charts';
import { Confidence } from './Confidence';
import { Drift } from './Drift';
import { Errors } from './Errors';
import { useFormats, type Formats } from './format';
import { Latency } from './Latency';
import { Overview } from './Overview';
import { classIds, marks as marksOf } from './rows';
import { ClassMix, Traffic, useChartMarks } from './Traffic';
import { roundTicks, type TimeAxis } from './time';
import styles from './Watch.module.css';
import { RANGES, useAlerts, useChanges, useComparison, useDrift, useEndings, useService, useSummary, type Range, type Summary } from './watch';

const NO_MODELS: readonly Model[] = [];

/** How the service fared: traffic, answers, accuracy, drift, alerts, versions. */
export default function WatchPanel() {
  const { t } = useTranslation();
  const models = useModels();
  const changes = useChanges();
  const [chosen, setChosen] = useState<string | null>(null);
  const [range, setRange] = useState<Range>('day');
  const tasks = [
    ...new Set([
      ...(models.data?.models ?? []).map(({ task }) => task),
      ...(changes.data?.models ?? []).map(({ task }) => task),
    ]),
  ].sort();
  const task = tasks.find((name) => name === chosen) ?? tasks[0] ?? '';
  return (
    <>
      <PageHead title={t('watch.title')} intro={t('watch.intro')}>
        {tasks.length > 1 && (
          <Segments
            label={t('watch.task')}
            value={task}
            options={tasks.map((id) => ({ id, text: t(`task.${id}`, { defaultValue: id }) }))}
            onChange={setChosen}
          />
        )}
        <Segments
          label={t('watch.range')}
          value={range}
          options={RANGES.map((id) => ({ id, text: t(`watch.ranges.${id}`) }))}
          onChange={setRange}
        />
      </PageHead>
      {models.isPending && <Skeleton height={320} />}
      {models.error && <ProblemMessage problem={asProblem(models.error)} onRetry={() => void models.refetch()} />}
      {models.data && task === '' && (
        <EmptyState icon="pulse" title={t('watch.none_title')} text={t('watch.none_text')} />
      )}
      {task !== '' && <Board key={task} task={task} range={range} models={models.data?.models ?? NO_MODELS} />}
    </>
  );
}

function Board({ task, range, models }: { task: string; range: Range; models: readonly Model[] }) {
  const { t } = useTranslation();
  const format = useFormats();
  const [pair, setPair] = useState<readonly [string, string] | null>(null);
  const summary = useSummary(task, range);
  const drift = useDrift(task);
  const comparison = useComparison(task, pair);
  const alerts = useAlerts();
  const service = useService();
  const endings = useEndings(range);
  const changes = useChanges();
  const report = drift.data?.report ?? null;
  const data = summary.data;
  return (
    <div className={styles.panel} aria-busy={summary.isPlaceholderData}>
      {data && (
        <>
          {summary.isPlaceholderData ? (
            <p className={styles.fresh} role="status">
              <span className={styles.note}>{t(`watch.counting.${range === 'month' ? 'month' : 'other'}`)}</span>
            </p>
          ) : (
            <Freshness summary={data} isFetching={summary.isFetching} onRefresh={() => void summary.refetch()} />
          )}
          <Overview
            summary={summary.isPlaceholderData ? null : data}
            drift={drift.data && report}
            alerts={isForbidden(alerts.error) ? null : alerts.data}
            askedAt={alerts.dataUpdatedAt}
          />
        </>
      )}
      <Asked query={alerts} titleKey="watch.alerts.title">
        {(found) => <Alerts alerts={found.alerts} watched={found} askedAt={alerts.dataUpdatedAt} />}
      </Asked>
      {summary.error && <ProblemMessage problem={asProblem(summary.error)} onRetry={() => void summary.refetch()} />}
      {!data && !summary.error && (
        <>
          {range === 'month' && (
            <p role="status" className={styles.note}>
              {t('watch.counting.month')}
            </p>
          )}
          <Skeleton height={480} />
        </>
      )}
      {data && (
        <Charts summary={data} report={report} service={service.data ?? null} changes={changes.data} models={models}>
          {(marks) => (
            <Asked query={endings} titleKey="watch.errors.title">
              {(found) => (
                <Errors endings={found} service={service.data ?? null} axis={axisOf(format, found)} marks={marks} />
              )}
            </Asked>
          )}
        </Charts>
      )}
      <Asked query={drift} titleKey="watch.drift.title">
        {({ report: found, problem }) => <Drift report={found} problem={problem} />}
      </Asked>
      <Asked query={comparison} titleKey="watch.comparison.title">
        {(found) => <ComparisonCard comparison={found} onChoose={setPair} />}
      </Asked>
    </div>
  );
}

interface ChartsProps {
  summary: Summary;
  report: Parameters<typeof AccuracyCard>[0]['report'];
  service: Parameters<typeof Latency>[0]['service'];
  changes: Parameters<typeof marksOf>[1] | undefined;
  models: readonly Model[];
  children: (marks: readonly ChartMark[]) => ReactNode;
}

function Charts({ summary, report, service, changes, models, children }: ChartsProps) {
  const format = useFormats();
  const axis = axisOf(format, summary);
  const marks = changes ? marksOf(summary, changes, summary.task) : [];
  const chartMarks = useChartMarks(marks);
  return (
    <div className={styles.grid}>
      <Traffic summary={summary} axis={axis} marks={marks} />
      <Latency summary={summary} service={service} axis={axis} marks={marks} />
      <AccuracyCard summary={summary} report={report} axis={axis} marks={marks} />
      <ClassMix summary={summary} axis={axis} idOf={classIds(models, summary.task)} />
      <Confidence summary={summary} />
      {children(chartMarks)}
    </div>
  );
}

/** Of what comes in buckets of time. */
function axisOf(format: Formats, { range, bucket_s }: { range: Range; bucket_s: number }): TimeAxis {
  return {
    tick: format.tick(range),
    span: (start, last = start) => format.span(start, (Date.parse(last) - Date.parse(start)) / 1000 + bucket_s),
    ticks: (starts) => roundTicks(starts, range),
  };
}

function Freshness({ summary, isFetching, onRefresh }: { summary: Summary; isFetching: boolean; onRefresh: () => void }) {
  const { t } = useTranslation();
  const format = useFormats();
  return (
    <p className={styles.fresh}>
      <span className={styles.note}>
        {t('watch.fresh', { when: format.clock(summary.at), since: format.moment(summary.since) })}
      </span>
      <IconButton small icon="retry" label={t('watch.refresh')} isDisabled={isFetching} onPress={onRefresh} />
    </p>
  );
}
