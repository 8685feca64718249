import { defaultRangeExtractor, useVirtualizer } from '@tanstack/react-virtual';
import { memo, useCallback, useEffect, useRef, useState, type KeyboardEvent } from 'react';
import { useTranslation } from 'react-i18next';

import { numbers } from '../../lib/numbers';
import styles from './Gallery.module.css';
import { moved } from './grid';
import { best, leastScore, matching, type Filter, type Found, type Row } from './rows';
import type { PictureSource } from './sources';
import { Thumbnail } from './Thumbnail';

const CELL_WIDTH = 156;
const CELL_HEIGHT = 196;

interface GalleryProps {
  rows: readonly Row[];
  filter: Filter;
  source: PictureSource | null;
  /** A picture was chosen, by its place among `rows`. */
  onOpen: (place: number) => void;
}

/** A grid of pictures, of which only those in sight are in the document; arrow keys move in it. */
export function Gallery({ rows, filter, source, onOpen }: GalleryProps) {
  const { t } = useTranslation();
  const root = useRef<HTMLDivElement>(null);
  const [columns, setColumns] = useState(4);
  const [chosen, setActive] = useState(0);
  const isMoving = useRef(false);
  const active = Math.min(chosen, rows.length - 1);
  const lines = Math.ceil(rows.length / columns);
  const activeLine = Math.floor(active / columns);
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing that it returns is memoized here
  const virtualizer = useVirtualizer({
    count: lines,
    getScrollElement: () => root.current,
    estimateSize: () => CELL_HEIGHT,
    overscan: 2,
    // The cell with the focus stays, wherever one scrolls.
    rangeExtractor: (range) =>
      [...new Set([...defaultRangeExtractor(range), activeLine])].filter((line) => line < lines).sort((a, b) => a - b),
  });

  useEffect(() => {
    const element = root.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setColumns(Math.max(2, Math.floor(entry.contentRect.width / CELL_WIDTH)));
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // A cell that a key leads to may have to be scrolled to before it is there.
  useEffect(() => {
    if (!isMoving.current) return;
    const cell = root.current?.querySelector<HTMLElement>(`[data-place="${active}"]`);
    if (!cell) return;
    isMoving.current = false;
    cell.focus({ preventScroll: true });
  });

  const open = useCallback(
    (place: number) => {
      setActive(place);
      onOpen(place);
    },
    [onOpen],
  );

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      onOpen(active);
      return;
    }
    const page = Math.max(1, Math.floor((root.current?.clientHeight ?? 0) / CELL_HEIGHT));
    const next = moved(event.key, active, { columns, count: rows.length, page, toEnds: event.ctrlKey });
    if (next === null) return;
    event.preventDefault();
    isMoving.current = true;
    setActive(next);
    virtualizer.scrollToIndex(Math.floor(next / columns));
  };

  return (
    <div
      ref={root}
      className={styles.gallery}
      role="grid"
      tabIndex={-1}
      aria-label={t('many.gallery')}
      aria-rowcount={lines}
      aria-colcount={columns}
      onKeyDown={onKeyDown}
    >
      <div className={styles.canvas} role="presentation" style={{ height: virtualizer.getTotalSize() }}>
        {virtualizer.getVirtualItems().map(({ index: line, start }) => (
          <div
            key={line}
            role="row"
            aria-rowindex={line + 1}
            className={styles.line}
            style={{ transform: `translateY(${start}px)`, gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))` }}
          >
            {rows.slice(line * columns, (line + 1) * columns).map((row, column) => {
              const place = line * columns + column;
              return (
                <Cell
                  key={row.index}
                  row={row}
                  filter={filter}
                  source={source}
                  place={place}
                  column={column}
                  isActive={place === active}
                  onOpen={open}
                />
              );
            })}
          </div>
        ))}
      </div>
    </div>
  );
}

interface CellProps {
  row: Row;
  filter: Filter;
  source: PictureSource | null;
  place: number;
  column: number;
  isActive: boolean;
  onOpen: (place: number) => void;
}

/** Scrolling renders the grid often: cells that stay are left as they are. */
const Cell = memo(function Cell({ row, filter, source, place, column, isActive, onOpen }: CellProps) {
  const found = matching(row, filter);
  const text = useSummary()(row, found);
  const folder = row.image.slice(0, row.image.lastIndexOf('/') + 1);
  return (
    // eslint-disable-next-line jsx-a11y/click-events-have-key-events -- the grid has the keys of its cells
    <div
      role="gridcell"
      tabIndex={isActive ? 0 : -1}
      aria-colindex={column + 1}
      data-place={place}
      data-failed={row.error ? '' : undefined}
      className={styles.cell}
      onClick={() => onOpen(place)}
    >
      <Thumbnail source={source} row={row} found={found} />
      <span className={styles.what}>{text}</span>
      <span className={styles.name} title={row.image}>
        <span className="visually-hidden">{folder}</span>
        {row.image.slice(folder.length)}
      </span>
    </div>
  );
});

/** What is said of an image, or of some of what was found in it, in a few words. */
export function useSummary(): (row: Row, found?: readonly Found[]) => string {
  const { t, i18n } = useTranslation();
  const percent = numbers(i18n.language).percent;
  return (row, found = row.found) => {
    if (row.error) return t(`problems.${row.error.code}.what`, { defaultValue: row.error.detail });
    const top = best(found);
    if (!top) return t('many.nothing');
    if (!top.box_xyxy || found.length === 1) return `${top.class} ${percent(top.score)}`;
    return t('many.objects', { count: found.length, least: percent(leastScore(found)) });
  };
}
