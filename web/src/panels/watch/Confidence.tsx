import { useTranslation } from 'react-i18next';
import { Bar, BarChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';

import { ChartCard } from './ChartCard';
import { useFormats } from './format';
import { shareTicks, shares } from './rows';
import styles from './Watch.module.css';
import type { Summary } from './watch';

const TICK = { fill: 'var(--muted)', fontSize: 12 };

/** How sure the answers were. */
export function Confidence({ summary }: { summary: Summary }) {
  const { t } = useTranslation();
  const format = useFormats();
  const { edges, counts } = summary.confidence;
  const total = counts.reduce((sum, count) => sum + count, 0);
  const parts = shares(counts);
  const ticks = shareTicks(Math.max(0, ...parts));
  const rows = counts.map((count, bin) => ({
    name: `${format.roughly(edges[bin] ?? 0)} – ${format.roughly(edges[bin + 1] ?? 1)}`,
    from: edges[bin] ?? 0,
    count,
    share: parts[bin] ?? 0,
  }));
  return (
    <ChartCard
      title={t('watch.confidence.title')}
      unit={t('watch.confidence.unit')}
      empty={total === 0 ? t('watch.traffic.empty') : null}
      table={{
        columns: [t('watch.confidence.bin'), t('watch.confidence.share'), t('watch.confidence.answers')],
        rows: rows.map(({ name, share, count }) => [name, format.percent(share), format.count(count)]),
      }}
      foot={
        summary.found_nothing > 0 && (
          <p className={styles.note}>{t('watch.confidence.nothing', { count: summary.found_nothing, number: format.count(summary.found_nothing) })}</p>
        )
      }
    >
      <div className={styles.chart}>
        <ResponsiveContainer width="100%" height={232}>
          <BarChart data={rows} margin={{ top: 30, right: 8, bottom: 0, left: 0 }} barCategoryGap="8%" title={t('watch.confidence.title')} accessibilityLayer>
            <CartesianGrid vertical={false} stroke="var(--border)" />
            <XAxis
              dataKey="from"
              tickFormatter={format.roughly}
              tick={TICK}
              tickLine={false}
              axisLine={{ stroke: 'var(--border-strong)' }}
              minTickGap={28}
              interval="preserveStart"
            />
            <YAxis tickFormatter={format.roughly} tick={TICK} tickLine={false} axisLine={false} width={52} ticks={ticks} domain={[0, ticks.at(-1) ?? 1]} />
            <Tooltip
              isAnimationActive={false}
              cursor={{ fill: 'var(--hover)' }}
              content={({ active, payload }) => {
                const row = (payload as readonly { payload?: (typeof rows)[number] }[] | undefined)?.[0]?.payload;
                if (!active || row === undefined) return null;
                return (
                  <div className={styles.tip}>
                    <p className={styles.note}>{t('watch.confidence.between', { bin: row.name })}</p>
                    <p>
                      <strong>{format.percent(row.share)}</strong> ({format.count(row.count)})
                    </p>
                  </div>
                );
              }}
            />
            <Bar dataKey="share" fill="var(--series-1)" isAnimationActive={false} />
          </BarChart>
        </ResponsiveContainer>
      </div>
    </ChartCard>
  );
}
