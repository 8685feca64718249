import { useMemo, type KeyboardEvent } from 'react';
import { useTranslation } from 'react-i18next';

import { Button, IconButton } from '../../components/Button';
import { ImageStage } from '../../components/stage/ImageStage';
import { classStyle } from '../../lib/colors';
import type { Size } from '../../lib/viewport';
import { added, dragged, removed, spanned, withBox, type Edit, type LabelBox } from './boxEdit';
import styles from './Label.module.css';
import { useEditTool } from './useEditTool';

interface EditorProps {
  image: HTMLImageElement | null;
  size: Size;
  edit: Edit;
  classes: readonly string[];
  /** What a new box is. */
  newClass: string;
  onEdit: (edit: Edit) => void;
}

/** The picture with boxes that can be drawn, moved and resized. */
export function BoxStage({ image, size, edit, classes, newClass, onEdit }: EditorProps) {
  const { t } = useTranslation();
  const { tool, paint, preview } = useEditTool(edit, size, newClass, onEdit);
  const boxes = useMemo(
    () =>
      edit.boxes.map(({ class: name, box }, index) => ({
        box: preview?.index === index ? preview.box : box,
        classId: Math.max(0, classes.indexOf(name)),
        label: name,
      })),
    [edit.boxes, classes, preview],
  );
  return (
    <ImageStage
      source={image}
      size={size}
      boxes={boxes}
      tool={tool}
      paint={paint}
      label={t('label.picture', { count: boxes.length })}
    />
  );
}

const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** The boxes as a list: for keys, and for screen readers. */
export function BoxList({ size, edit, classes, newClass, onEdit }: Omit<EditorProps, 'image'>) {
  const { t } = useTranslation();
  const step = Math.max(1, Math.round(Math.max(size.width, size.height) / 100));
  const onKeyDown = (event: KeyboardEvent, index: number, { box }: LabelBox) => {
    const arrow = ARROWS[event.key];
    if (!arrow || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [dx, dy] = [arrow[0] * step, arrow[1] * step];
    onEdit(withBox(edit, index, { box: dragged(box, event.shiftKey ? 'se' : 'inside', dx, dy, size) }));
  };
  const add = () => {
    const [x, y] = [size.width / 2, size.height / 2];
    const half = Math.min(size.width, size.height) / 6;
    onEdit(added(edit, { class: newClass, box: spanned({ x: x - half, y: y - half }, { x: x + half, y: y + half }, size) }));
  };
  return (
    <>
      <ul className={styles.boxes} aria-label={t('label.boxes')}>
        {edit.boxes.map((item, index) => (
          <li key={index}>
            <button
              type="button"
              className={styles.box}
              aria-pressed={index === edit.selected}
              onClick={() => onEdit({ ...edit, selected: index === edit.selected ? null : index })}
              onKeyDown={(event) => onKeyDown(event, index, item)}
            >
              <span
                className={styles.swatch}
                style={{ background: classStyle(Math.max(0, classes.indexOf(item.class))).color }}
              />
              {item.class}
              <span className={styles.place}>{item.box.map(Math.round).join(' ')}</span>
            </button>
            <IconButton
              small
              icon="trash"
              label={t('label.remove_box', { class: item.class })}
              onPress={() => onEdit(removed(edit, index))}
            />
          </li>
        ))}
      </ul>
      {edit.boxes.length === 0 && <p className={styles.note}>{t('label.no_boxes')}</p>}
      <div className={styles.buttons}>
        <Button small icon="plus" onPress={add}>
          {t('label.add_box')}
        </Button>
      </div>
      <p className={styles.note}>{t('label.box_keys')}</p>
    </>
  );
}
