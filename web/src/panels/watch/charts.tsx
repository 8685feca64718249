import type { ReactNode } from 'react';
import {
  Bar,
  BarChart,
  CartesianGrid,
  ComposedChart,
  ErrorBar,
  Line,
  LineChart,
  ReferenceLine,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from 'recharts';

import type { TimeAxis } from './time';
import styles from './Watch.module.css';

const HEIGHT = 232;
const MARGIN = { top: 30, right: 16, bottom: 0, left: 0 };
const TICK = { fill: 'var(--muted)', fontSize: 12 };

/** A line of a tooltip, and of the legend. */
export interface Series {
  readonly key: string;
  readonly name: string;
  readonly color: string;
  readonly dash?: string;
}

export interface ChartMark {
  readonly start: string;
  readonly label: string;
  readonly tone: 'good' | 'bad';
}

interface TimeChartProps<Row extends { readonly start: string }> {
  title: string;
  rows: readonly Row[];
  series: readonly Series[];
  numberOf: (row: Row, key: string) => number | null;
  textOf: (row: Row, key: string) => string | null;
  axis: TimeAxis;
  yTick: (value: number) => string;
  marks?: readonly ChartMark[];
}

/** Counts over time, on top of each other. */
export function TimeBars<Row extends { readonly start: string }>(props: TimeChartProps<Row> & { shares?: boolean }) {
  const { title, rows, series, numberOf, axis, yTick, marks = [], shares = false } = props;
  return (
    <Frame>
      <BarChart
        data={[...rows]}
        margin={MARGIN}
        barCategoryGap="12%"
        stackOffset={shares ? 'expand' : 'none'}
        title={title}
        accessibilityLayer
      >
        {grid()}
        {xAxis(axis, rows)}
        {yAxis(yTick, shares ? [0, 1] : [0, 'auto'])}
        {tooltip(props)}
        {series.map(({ key, color }) => (
          <Bar
            key={key}
            dataKey={(row: Row) => numberOf(row, key) ?? 0}
            stackId="all"
            fill={color}
            isAnimationActive={false}
          />
        ))}
        {marks.map(mark)}
      </BarChart>
    </Frame>
  );
}

/** Numbers over time; where there was nothing to measure the line is broken. */
export function TimeLines<Row extends { readonly start: string }>(props: TimeChartProps<Row>) {
  const { title, rows, series, numberOf, axis, yTick, marks = [] } = props;
  return (
    <Frame>
      <LineChart data={[...rows]} margin={MARGIN} title={title} accessibilityLayer>
        {grid()}
        {xAxis(axis, rows, 8)}
        {yAxis(yTick, [0, 'auto'])}
        {tooltip(props)}
        {marks.map(mark)}
        {series.map(({ key, color, dash }) => (
          <Line
            key={key}
            type="linear"
            dataKey={(row: Row) => numberOf(row, key)}
            stroke={color}
            strokeWidth={2}
            {...(dash !== undefined && { strokeDasharray: dash })}
            dot={{ r: 1.5, fill: color, strokeWidth: 0 }}
            activeDot={{ r: 4 }}
            isAnimationActive={false}
          />
        ))}
      </LineChart>
    </Frame>
  );
}

interface IntervalsProps<Row extends { readonly start: string }> extends TimeChartProps<Row> {
  boundsOf: (row: Row, key: string) => readonly [number, number] | null;
  domain: [number, number];
}

/** Estimates over time, each with its interval. */
export function TimeIntervals<Row extends { readonly start: string }>(props: IntervalsProps<Row>) {
  const { title, rows, series, numberOf, boundsOf, axis, yTick, domain, marks = [] } = props;
  return (
    <Frame>
      <ComposedChart data={[...rows]} margin={MARGIN} title={title} accessibilityLayer>
        {grid()}
        {xAxis(axis, rows, 8)}
        {yAxis(yTick, domain)}
        {tooltip(props)}
        {marks.map(mark)}
        {series.map(({ key, color, dash }) => (
          <Line
            key={key}
            type="linear"
            connectNulls
            dataKey={(row: Row) => numberOf(row, key)}
            stroke={color}
            strokeWidth={1.5}
            {...(dash !== undefined && { strokeDasharray: dash })}
            dot={dash === undefined ? { r: 4, fill: color, strokeWidth: 0 } : { r: 3.5, fill: 'var(--surface)', stroke: color, strokeDasharray: '' }}
            activeDot={{ r: 5 }}
            isAnimationActive={false}
          >
            <ErrorBar
              dataKey={(row: Row) => {
                const [value, found] = [numberOf(row, key), boundsOf(row, key)];
                return value === null || found === null ? [0, 0] : [value - found[0], found[1] - value];
              }}
              width={5}
              strokeWidth={1.5}
              stroke={color}
              opacity={0.65}
              direction="y"
              isAnimationActive={false}
            />
          </Line>
        ))}
      </ComposedChart>
    </Frame>
  );
}

function Frame({ children }: { children: ReactNode }) {
  return (
    <div className={styles.chart}>
      <ResponsiveContainer width="100%" height={HEIGHT}>
        {children}
      </ResponsiveContainer>
    </div>
  );
}

function grid() {
  return <CartesianGrid vertical={false} stroke="var(--border)" />;
}

function xAxis({ tick, ticks }: TimeAxis, rows: readonly { readonly start: string }[], inset = 0) {
  return (
    <XAxis
      dataKey="start"
      tickFormatter={tick}
      ticks={ticks(rows.map(({ start }) => start))}
      tick={TICK}
      tickLine={false}
      axisLine={{ stroke: 'var(--border-strong)' }}
      minTickGap={36}
      interval="preserveStart"
      padding={{ left: inset, right: inset }}
    />
  );
}

function yAxis(format: (value: number) => string, domain: [number, number | 'auto']) {
  return (
    <YAxis
      tickFormatter={format}
      tick={TICK}
      tickLine={false}
      axisLine={false}
      width={52}
      domain={domain}
      tickCount={5}
    />
  );
}

function mark({ start, label, tone }: ChartMark, index: number) {
  const color = tone === 'good' ? 'var(--success)' : 'var(--danger)';
  return (
    <ReferenceLine
      key={index}
      x={start}
      stroke={color}
      strokeWidth={1.5}
      strokeDasharray="4 3"
      // Neighbours stand one above the other.
      label={{ value: label, position: 'top', dy: index % 2 ? -13 : 0, fill: color, fontSize: 12, fontWeight: 600 }}
    />
  );
}

function tooltip<Row extends { readonly start: string }>({ series, textOf, axis }: TimeChartProps<Row>) {
  return (
    <Tooltip
      isAnimationActive={false}
      cursor={{ fill: 'var(--hover)', stroke: 'var(--border-strong)' }}
      wrapperStyle={{ zIndex: 5 }}
      content={({ active, payload }) => {
        const row = (payload as readonly { payload?: Row }[] | undefined)?.[0]?.payload;
        if (!active || row === undefined) return null;
        const lines = series.map((one) => [one, textOf(row, one.key)] as const).filter(([, text]) => text !== null);
        return (
          <div className={styles.tip}>
            <p className={styles.note}>{axis.span(row.start)}</p>
            <ul>
              {lines.map(([{ key, name, color }, text]) => (
                <li key={key}>
                  <Swatch color={color} />
                  <span>{name}</span>
                  <strong>{text}</strong>
                </li>
              ))}
            </ul>
          </div>
        );
      }}
    />
  );
}

function Swatch({ color, dash }: { color: string; dash?: string | undefined }) {
  return <span className={styles.swatch} data-dashed={dash !== undefined || undefined} style={{ background: dash === undefined ? color : undefined, borderColor: color }} />;
}

/** What the colours mean. */
export function Legend({ series }: { series: readonly Series[] }) {
  return (
    <ul className={styles.legend}>
      {series.map(({ key, name, color, dash }) => (
        <li key={key}>
          <Swatch color={color} dash={dash} />
          {name}
        </li>
      ))}
    </ul>
  );
}

/** Colours of series that are told apart by colour, nine of them. */
export function seriesColor(index: number): string {
  return `var(--series-${(index % 9) + 1})`;
}
