import { useMemo, type KeyboardEvent, type Ref } from 'react';
import { useTranslation } from 'react-i18next';

import { Button, IconButton } from '../../components/Button';
import { ImageStage, type StageHandle } from '../../components/stage/ImageStage';
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

interface BoxStageProps extends EditorProps {
  /** Whether fingers draw; else they scroll, and choose a box. */
  takesTouch: boolean;
  stage: Ref<StageHandle>;
}

/** The picture with boxes that can be drawn, moved and resized. */
export function BoxStage({ image, size, edit, classes, newClass, takesTouch, stage, onEdit }: BoxStageProps) {
  const { t } = useTranslation();
  const { tool, paint, preview } = useEditTool(edit, size, newClass, takesTouch, onEdit);
  const boxes = useMemo(() => {
    const drawn = edit.boxes.map(({ class: name, box }, index) => ({
      box: preview?.index === index ? preview.box : box,
      classId: Math.max(0, classes.indexOf(name)),
      label: name,
    }));
    // The first keeps its label where two would cover each other.
    const [chosen] = edit.selected === null ? [] : drawn.splice(edit.selected, 1);
    return chosen ? [chosen, ...drawn] : drawn;
  }, [edit.boxes, edit.selected, classes, preview]);
  return (
    <ImageStage
      ref={stage}
      onKey={(event) => moveByKey(event, edit, edit.selected, size, onEdit)}
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

/** Arrow keys move a box; with Shift they resize it. Says whether the key was one. */
function moveByKey(
  event: KeyboardEvent,
  edit: Edit,
  index: number | null,
  size: Size,
  onEdit: (edit: Edit) => void,
): boolean {
  const arrow = ARROWS[event.key];
  const item: LabelBox | undefined = index === null ? undefined : edit.boxes[index];
  if (!arrow || index === null || !item || event.ctrlKey || event.metaKey || event.altKey) return false;
  event.preventDefault();
  const step = Math.max(1, Math.round(Math.max(size.width, size.height) / 100));
  const [dx, dy] = [arrow[0] * step, arrow[1] * step];
  onEdit(withBox(edit, index, { box: dragged(item.box, event.shiftKey ? 'se' : 'inside', dx, dy, size) }));
  return true;
}

/** Upper left corner and size, in whole pixels. */
function placeOf([x1, y1, x2, y2]: LabelBox['box']) {
  const [x, y] = [Math.round(x1), Math.round(y1)];
  return { x, y, width: Math.round(x2) - x, height: Math.round(y2) - y };
}

interface BoxListProps extends Omit<EditorProps, 'image'> {
  /** A box was chosen, added or removed: the picture gets the keys. */
  onDone: () => void;
}

/** The boxes as a list: for keys, and for screen readers. */
export function BoxList({ size, edit, classes, newClass, onEdit, onDone }: BoxListProps) {
  const { t } = useTranslation();
  const act = (next: Edit) => {
    onEdit(next);
    onDone();
  };
  const add = () => {
    const [x, y] = [size.width / 2, size.height / 2];
    const half = Math.min(size.width, size.height) / 6;
    act(added(edit, { class: newClass, box: spanned({ x: x - half, y: y - half }, { x: x + half, y: y + half }, size) }));
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
              onClick={() => act({ ...edit, selected: index === edit.selected ? null : index })}
              onKeyDown={(event) => moveByKey(event, edit, index, size, onEdit)}
            >
              <span
                className={styles.swatch}
                style={{ background: classStyle(Math.max(0, classes.indexOf(item.class))).color }}
              />
              {item.class}{' '}
              <span className={styles.place}>{t('label.box_place', placeOf(item.box))}</span>
            </button>
            <IconButton
              small
              icon="trash"
              label={t('label.remove_box', { class: item.class })}
              onPress={() => act(removed(edit, index))}
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
      <p className={`${styles.note} ${styles.keyboard}`}>{t('label.box_keys')}</p>
    </>
  );
}
