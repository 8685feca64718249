import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import { Toggle } from '../../components/Button';
import { Card } from '../../components/Card';
import { Icon, type IconName } from '../../components/Icon';
import styles from './Watch.module.css';

export interface TableData {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** The first column is of times, which stay in one line. */
  readonly isOverTime?: boolean;
}

interface ChartCardProps {
  id?: string;
  title: string;
  /** What is counted, and in which unit. */
  unit: string;
  /** The same as the chart, for those who cannot see it or want the numbers. */
  table: TableData;
  /** What is needed, where there is nothing to see; null where there is. */
  empty: string | null;
  /** What stands below the chart, or the table. */
  foot?: ReactNode;
  children: ReactNode;
}

/** A chart with its title, its unit, and the table it can be turned into. */
export function ChartCard({ id, title, unit, table, empty, foot, children }: ChartCardProps) {
  const { t } = useTranslation();
  const [isTable, setTable] = useState(false);
  return (
    <div id={id} className={styles.anchor}>
      <Card title={title}>
        <div className={styles.sub}>
          <p className={styles.note}>{unit}</p>
          {empty === null && (
            <Toggle isSelected={isTable} onChange={setTable}>
              {t('watch.as_table')}
              <span className="visually-hidden">: {title}</span>
            </Toggle>
          )}
        </div>
        {empty !== null ? <Nothing text={empty} /> : isTable ? <DataTable title={title} {...table} /> : children}
        {empty === null && foot}
      </Card>
    </div>
  );
}

/** What is needed for there to be something. */
export function Nothing({ text, icon = 'info' }: { text: string; icon?: IconName }) {
  return (
    <p className={styles.nothing}>
      <Icon name={icon} size={18} />
      <span>{text}</span>
    </p>
  );
}

export function DataTable({ title, columns, rows, isOverTime = false }: TableData & { title: string }) {
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- wider and higher than its place: keys have to scroll it
    <div className={styles.scroll} tabIndex={0} role="group" aria-label={title}>
      <table className={styles.table} data-time={isOverTime || undefined}>
        <thead>
          <tr>
            {columns.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([first, ...rest], row) => (
            <tr key={row}>
              <th scope="row">{first}</th>
              {rest.map((cell, column) => (
                <td key={column}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
