import { useId } from 'react';

import { useNumbers } from '../../lib/numbers';
import { heightAt, type Curve } from './report';
import own from './Report.module.css';

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT] = [480, 300, 46, 8, 8, 40];
const STEPS = 20;
const TICKS = [0, 0.25, 0.5, 0.75, 1];
/** More names than these cannot be read in a hint. */
const MOST_NAMED = 12;

export interface PlotCurve extends Curve {
  readonly color: string;
  readonly dash?: readonly number[];
  /** Points are marked as well: there are few. */
  readonly isMarked?: boolean;
}

interface PlotProps {
  title: string;
  /** Names of the axes, both of which go from 0 to 1. */
  x: string;
  y: string;
  curves: readonly PlotCurve[];
  /** Drawn faintly from corner to corner. */
  hasDiagonal?: boolean;
}

/** Curves in the unit square; pointing at it says how high each is there. */
export function Plot({ title, x, y, curves, hasDiagonal = false }: PlotProps) {
  const clip = useId();
  const { finePercent } = useNumbers();
  const left = (value: number) => LEFT + value * (WIDTH - LEFT - RIGHT);
  const top = (value: number) => HEIGHT - FOOT - value * (HEIGHT - FOOT - TOP);
  const says = (at: number) =>
    [
      `${x} ${finePercent(at)}`,
      ...curves.slice(0, MOST_NAMED).map((curve) => {
        const height = heightAt(curve, at);
        return `${curve.name}: ${height === null ? '–' : finePercent(height)}`;
      }),
    ].join('\n');
  return (
    <svg className={own.plot} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={title}>
      <clipPath id={clip}>
        <rect x={LEFT} y={TOP - 3} width={WIDTH - LEFT - RIGHT + 3} height={HEIGHT - FOOT - TOP + 6} />
      </clipPath>
      {TICKS.map((tick) => (
        <g key={tick}>
          <line x1={LEFT} x2={WIDTH - RIGHT} y1={top(tick)} y2={top(tick)} />
          <text x={LEFT - 6} y={top(tick) + 4} textAnchor="end">
            {finePercent(tick)}
          </text>
          <text x={left(tick)} y={HEIGHT - FOOT + 16} textAnchor={tick === 1 ? 'end' : 'middle'}>
            {finePercent(tick)}
          </text>
        </g>
      ))}
      <text x={left(0.5)} y={HEIGHT - 6} textAnchor="middle">
        {x}
      </text>
      <text transform={`translate(11 ${top(0.5)}) rotate(-90)`} textAnchor="middle">
        {y}
      </text>
      {hasDiagonal && <line data-diagonal="" x1={left(0)} y1={top(0)} x2={left(1)} y2={top(1)} />}
      <g clipPath={`url(#${clip})`}>
        {curves.map(({ name, points, color, dash, isMarked }) => (
          <g key={name} style={{ color }}>
            <polyline
              points={points.map(([px, py]) => `${left(px).toFixed(1)},${top(py).toFixed(1)}`).join(' ')}
              strokeDasharray={dash?.join(' ')}
            />
            {isMarked && points.map(([px, py]) => <circle key={px} cx={left(px)} cy={top(py)} r={3.5} />)}
          </g>
        ))}
      </g>
      {Array.from({ length: STEPS }, (_, step) => (
        <rect
          key={step}
          data-hover=""
          x={left(step / STEPS)}
          y={TOP}
          width={(WIDTH - LEFT - RIGHT) / STEPS}
          height={HEIGHT - FOOT - TOP}
        >
          <title>{says((step + 0.5) / STEPS)}</title>
        </rect>
      ))}
    </svg>
  );
}
