import { useRef, useState, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';

import { useModels } from '../../api/client';
import { asProblem } from '../../api/problem';
import { Button } from '../../components/Button';
import { DropVeil } from '../../components/DropArea';
import { EmptyState } from '../../components/EmptyState';
import { PageHead } from '../../components/PageHead';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Skeleton } from '../../components/Skeleton';
import { keepPreference, readPreference } from '../../lib/preferences';
import { useDropped } from '../../lib/useDropped';
import { submit } from './batches';
import { BatchView } from './BatchView';
import { AddMany, Confirm, Upload } from './Compose';
import { choose, fromDrop, fromInput, type Chosen, type NamedFile } from './files';
import styles from './ManyPanel.module.css';
import { ManyStore } from './store';

const store = new ManyStore(submit);

/** A folder or an archive in, a gallery of what a model says of each picture out. */
export default function ManyPanel() {
  const { t } = useTranslation();
  const { sending, recent, current } = useSyncExternalStore(store.subscribe, store.get);
  const models = useModels();
  const [choice, setChoice] = useState(() => readPreference('many.task') ?? '');
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const [isEmpty, setEmpty] = useState(false);
  const folder = useRef<HTMLInputElement>(null);
  const files = useRef<HTMLInputElement>(null);

  const take = (named: readonly NamedFile[]) => {
    const found = choose(named, models.data?.max_image_bytes);
    setChosen(found);
    setEmpty(!found);
    if (!store.get().sending) store.show(null);
  };
  const isDragging = useDropped((transfer) => void fromDrop(transfer).then(take, () => take([])));
  const input = (target: HTMLInputElement) => {
    const named = fromInput(target.files ?? []);
    target.value = ''; // the same folder may be chosen again
    if (named.length > 0) take(named);
  };

  const tasks = [...new Set(models.data?.models.filter(({ role }) => role === 'champion').map(({ task }) => task))];
  const task = tasks.includes(choice) ? choice : (tasks[0] ?? '');
  const batch = recent.find(({ id }) => id === current);
  const others = recent.filter(({ id }) => id !== current);
  return (
    <>
      <PageHead title={t('many.title')} intro={t('many.intro')}>
        {batch && (
          <Button icon="plus" onPress={() => store.show(null)}>
            {t('many.new')}
          </Button>
        )}
      </PageHead>
      <input
        ref={files}
        type="file"
        multiple
        hidden
        accept="image/*,.bmp,.zip"
        data-testid="many-files"
        onChange={({ target }) => input(target)}
      />
      <input
        ref={folder}
        type="file"
        multiple
        hidden
        data-testid="many-folder"
        // Known to every browser, but not to React's types.
        {...{ webkitdirectory: '' }}
        onChange={({ target }) => input(target)}
      />
      {isDragging && <DropVeil text={t('try.drop_now')} />}

      <div className={styles.panel}>
        {models.error && <ProblemMessage problem={asProblem(models.error)} onRetry={() => void models.refetch()} />}
        {batch ? (
          <BatchView
            key={batch.id}
            batch={batch}
            source={store.source(batch.id)}
            onGone={() => store.forget(batch.id)}
          />
        ) : sending ? (
          <Upload
            sending={sending}
            onCancel={() => store.cancelSending()}
            onRetry={() => void store.send(sending.chosen, sending.task)}
            onDiscard={() => store.dismiss()}
          />
        ) : models.isPending ? (
          <Skeleton height={360} />
        ) : tasks.length === 0 ? (
          models.data && <EmptyState icon="layers" title={t('try.no_model_title')} text={t('try.no_model_text')} />
        ) : chosen ? (
          <Confirm
            chosen={chosen}
            tasks={tasks}
            task={task}
            onTask={(id) => {
              setChoice(id);
              keepPreference('many.task', id);
            }}
            onStart={() => {
              setChosen(null);
              void store.send(chosen, task);
            }}
            onDiscard={() => setChosen(null)}
          />
        ) : (
          <AddMany
            isEmpty={isEmpty}
            onFolder={() => folder.current?.click()}
            onFiles={() => files.current?.click()}
          />
        )}
        {others.length > 0 && (
          <section className={styles.recent} aria-labelledby="recent-batches">
            <h2 id="recent-batches">{t('many.recent')}</h2>
            <ul>
              {others.map(({ id, name, task: asked }) => (
                <li key={id}>
                  <Button small kind="quiet" onPress={() => store.show(id)}>
                    {`${name} · ${t(`task.${asked}`, { defaultValue: asked })}`}
                  </Button>
                </li>
              ))}
            </ul>
          </section>
        )}
      </div>
    </>
  );
}
