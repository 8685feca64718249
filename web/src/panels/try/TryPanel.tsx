import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';

import { useModels } from '../../api/client';
import { asProblem } from '../../api/problem';
import { Button } from '../../components/Button';
import { DropVeil } from '../../components/DropArea';
import { EmptyState } from '../../components/EmptyState';
import { PageHead } from '../../components/PageHead';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Segments } from '../../components/Segments';
import { Skeleton } from '../../components/Skeleton';
import { takePictures } from '../../lib/inbox';
import { keepPreference, readPreference } from '../../lib/preferences';
import { AddPictures, useDrop } from './AddPictures';
import { askService } from './ask';
import { CameraDialog } from './CameraDialog';
import { PictureStrip } from './PictureStrip';
import { PictureView } from './PictureView';
import { TryStore } from './store';
import styles from './TryPanel.module.css';

const store = new TryStore(askService);
const BOTH = 'both';
/** What the service reads; the suffixes for systems that do not know the types. */
const FORMATS = 'image/jpeg,image/png,image/webp,image/bmp,.jpg,.jpeg,.png,.webp,.bmp';

/** Pictures in, what the models say of them out. */
export default function TryPanel() {
  const { t } = useTranslation();
  const { pictures, selected, removed } = useSyncExternalStore(store.subscribe, store.get);
  const models = useModels();
  const [choice, setChoice] = useState(() => readPreference('try.task') ?? BOTH);
  const [isPhotographing, setPhotographing] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const isDragging = useDrop((dropped) => store.add(dropped));

  const champions = models.data?.models.filter(({ role }) => role === 'champion') ?? [];
  const deployed = champions.map(({ task }) => task);
  const tasks = deployed.includes(choice) ? [choice] : deployed;
  const asked = tasks.join(' ');
  useEffect(() => store.add(takePictures()), []);
  useEffect(() => store.setTasks(asked ? asked.split(' ') : []), [asked]);

  const picture = pictures.find(({ id }) => id === selected);
  const panel = useRef<HTMLDivElement>(null);
  const shownBefore = useRef(selected);
  useEffect(() => {
    if (shownBefore.current === selected) return;
    shownBefore.current = selected;
    // What had the focus has gone with the picture, or with the samples; without this, Tab would begin at the page's top.
    if (document.activeElement !== document.body) return;
    const next = panel.current?.querySelector<HTMLElement>('[aria-pressed=true]') ?? panel.current?.querySelector('button');
    next?.focus({ preventScroll: true });
  }, [selected]);
  const shared = { onFiles: () => files.current?.click(), onPhoto: () => setPhotographing(true) };
  const problem = models.error && asProblem(models.error);
  return (
    <>
      <PageHead title={t('try.title')} intro={t('try.intro')}>
        {deployed.length > 1 && (
          <Segments
            label={t('try.tasks')}
            value={tasks.length > 1 ? BOTH : (tasks[0] ?? BOTH)}
            options={[BOTH, ...deployed].map((id) => ({ id, text: t(`task.${id}`, { defaultValue: id }) }))}
            onChange={(id) => {
              setChoice(id);
              keepPreference('try.task', id);
            }}
          />
        )}
      </PageHead>

      <input
        ref={files}
        type="file"
        accept={FORMATS}
        multiple
        hidden
        data-testid="files"
        onChange={({ target }) => {
          store.add([...(target.files ?? [])]);
          target.value = ''; // the same file may be chosen again
        }}
      />
      {isDragging && <DropVeil text={t('try.drop_now')} />}

      {problem && (
        <div className={styles.problem}>
          <ProblemMessage problem={problem} onRetry={() => void models.refetch()} />
        </div>
      )}
      {models.isPending && !problem && <Skeleton height={360} />}
      {models.data && deployed.length === 0 && (
        <EmptyState icon="layers" title={t('try.no_model_title')} text={t('try.no_model_text')} />
      )}
      <div ref={panel} className={styles.work}>
        {/* There before there is something to say: else not every screen reader says it. */}
        <div className={removed.length > 0 ? styles.removed : 'visually-hidden'} role="status">
          {removed.length > 0 && (
            <>
              <p>{t('try.removed', { count: removed.length })}</p>
              <Button small icon="retry" onPress={() => store.restore()}>
                {t('try.restore')}
              </Button>
            </>
          )}
        </div>
        {deployed.length > 0 && !picture && (
          <AddPictures
            {...shared}
            models={champions.filter(({ task }) => tasks.includes(task))}
            onSample={(file) => store.add([file])}
          />
        )}
        {picture && (
          <div className={styles.bar}>
            <PictureStrip
              pictures={pictures}
              selected={selected}
              onSelect={(id) => store.select(id)}
              onStep={(by) => store.step(by)}
              onRemove={(id) => store.remove(id)}
            />
            <div className={styles.add}>
              <Button small icon="upload" aria-label={t('try.add')} onPress={shared.onFiles}>
                {t('try.add')}
              </Button>
              <Button small icon="camera" aria-label={t('try.photo')} onPress={shared.onPhoto}>
                {t('try.photo')}
              </Button>
              <Button small kind="quiet" icon="trash" aria-label={t('try.clear')} onPress={() => store.clear()}>
                {t('try.clear')}
              </Button>
            </div>
          </div>
        )}
        {picture && (
          <PictureView
            picture={picture}
            tasks={tasks}
            models={champions}
            onCancel={() => store.cancel(picture.id)}
            onRetry={() => store.retry(picture.id)}
            onRemove={() => store.remove(picture.id)}
          />
        )}
      </div>
      {isPhotographing && (
        <CameraDialog
          onClose={() => setPhotographing(false)}
          onPhoto={(file) => {
            setPhotographing(false);
            store.add([file]);
          }}
        />
      )}
    </>
  );
}
