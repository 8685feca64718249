import { keepPreviousData, useQuery } from '@tanstack/react-query';

import { api, asked, type Schemas } from '../../api/client';

export type Range = 'hour' | 'day' | 'week' | 'month';
export type Summary = Schemas['SummaryAnswer'];
export type Bucket = Schemas['TrafficBucket'];
export type Accuracy = Schemas['FeedbackAccuracyBody'];
export type Estimate = Schemas['EstimateBody'];
export type DriftReport = Schemas['DriftReportBody'];
export type DriftTest = Schemas['DriftTest'];
export type Alert = Schemas['AlertBody'];
export type AlertsAnswer = Schemas['AlertsAnswer'];
export type Comparison = Schemas['ComparisonAnswer'];
export type ComparisonReport = Schemas['ComparisonReport'];
export type ServiceCounts = Schemas['ServiceAnswer'];
export type Endings = Schemas['RequestsAnswer'];
export type EndingsBucket = Schemas['EndingsBucket'];
export type History = Schemas['HistoryAnswer'];
export type ChampionChange = Schemas['ChampionChangeBody'];

export const RANGES: readonly Range[] = ['hour', 'day', 'week', 'month'];

// While the tab is out of sight nothing is asked; that is how react-query does it.
const EVERY_MS: Readonly<Record<Range, number>> = { hour: 10_000, day: 30_000, week: 60_000, month: 60_000 };
const OTHERS_MS = 30_000;

export function useSummary(task: string, range: Range) {
  return useQuery({
    queryKey: ['watch', 'summary', task, range],
    queryFn: () => asked(() => api.GET('/v1/monitoring/summary', { params: { query: { task, range } } })),
    refetchInterval: EVERY_MS[range],
    placeholderData: keepPreviousData,
    enabled: task !== '',
  });
}

export function useDrift(task: string) {
  return useQuery({
    queryKey: ['watch', 'drift', task],
    queryFn: () => asked(() => api.GET('/v1/monitoring/drift', { params: { query: { task } } })),
    refetchInterval: 5 * 60_000, // the check runs once an hour, and its pictures are a hundred kilobytes
    enabled: task !== '',
  });
}

export function useComparison(task: string, pair: readonly [string, string] | null) {
  const query = pair ? { task, first: pair[0], second: pair[1] } : { task };
  return useQuery({
    queryKey: ['watch', 'comparison', query],
    queryFn: () => asked(() => api.GET('/v1/monitoring/comparison', { params: { query } })),
    refetchInterval: 60_000,
    placeholderData: keepPreviousData,
    enabled: task !== '',
  });
}

export function useAlerts() {
  return useQuery({
    queryKey: ['watch', 'alerts'],
    queryFn: () => asked(() => api.GET('/v1/monitoring/alerts')),
    refetchInterval: OTHERS_MS,
  });
}

export function useService() {
  return useQuery({
    queryKey: ['watch', 'service'],
    queryFn: () => asked(() => api.GET('/v1/monitoring/service')),
    refetchInterval: OTHERS_MS,
  });
}

export function useEndings(range: Range) {
  return useQuery({
    queryKey: ['watch', 'requests', range],
    queryFn: () => asked(() => api.GET('/v1/monitoring/requests', { params: { query: { range } } })),
    refetchInterval: EVERY_MS[range],
    placeholderData: keepPreviousData,
  });
}

/** As the panel "Models" asks, and from the same memory. */
export function useChanges() {
  return useQuery({
    queryKey: ['models', 'history'],
    // openapi-fetch widens pairs to lists of any length.
    queryFn: async () => (await asked(() => api.GET('/v1/models/history'))) as History,
    refetchInterval: OTHERS_MS,
  });
}

/** The kept image of a prediction, small. */
export function thumbnailQuery(id: string) {
  return {
    queryKey: ['watch', 'image', id],
    queryFn: () =>
      asked<Blob>(() =>
        api.GET('/v1/predictions/{id}/image', { params: { path: { id }, query: { size: 192 } }, parseAs: 'blob' }),
      ),
    staleTime: Infinity,
    retry: false,
  } as const;
}
