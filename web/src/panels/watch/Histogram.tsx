import styles from './Watch.module.css';
import { shares } from './rows';

const [WIDTH, HEIGHT] = [240, 72];

interface HistogramProps {
  reference: readonly number[];
  window: readonly number[];
  isDrifted: boolean;
  /** Said to those who do not see it. */
  label: string;
}

/** Two distributions over the same bins: the reference as a line, what was seen as bars. */
export function Histogram({ reference, window, isDrifted, label }: HistogramProps) {
  const [before, after] = [shares(reference), shares(window)];
  const most = Math.max(...before, ...after, 0.01);
  const width = WIDTH / Math.max(1, before.length);
  const y = (share: number) => HEIGHT - (HEIGHT - 4) * (share / most);
  const steps = before.flatMap((share, bin) => [`${bin * width},${y(share)}`, `${(bin + 1) * width},${y(share)}`]);
  return (
    <svg
      className={styles.histogram}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
      data-drifted={isDrifted || undefined}
    >
      {after.map((share, bin) => (
        <rect key={bin} x={bin * width + 0.75} width={Math.max(0.5, width - 1.5)} y={y(share)} height={HEIGHT - y(share)} />
      ))}
      <polyline points={[`0,${HEIGHT}`, ...steps, `${WIDTH},${HEIGHT}`].join(' ')} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
