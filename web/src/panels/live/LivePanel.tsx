import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { useModels } from '../../api/client';
import { asProblem } from '../../api/problem';
import { Button } from '../../components/Button';
import { EmptyState } from '../../components/EmptyState';
import { PageHead } from '../../components/PageHead';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Segments } from '../../components/Segments';
import { Skeleton } from '../../components/Skeleton';
import { keepPreference, readPreference } from '../../lib/preferences';
import { CameraView } from './CameraView';
import { VideoView } from './VideoView';

const SOURCES = ['camera', 'file'] as const;

/** A camera or a video in, what a model sees in each frame out. */
export default function LivePanel() {
  const { t } = useTranslation();
  const models = useModels();
  const [source, setSource] = useState<(typeof SOURCES)[number]>('camera');
  const [choice, setChoice] = useState(() => readPreference('live.task') ?? 'detection');
  const [chosen, setChosen] = useState<{ file: File; number: number } | null>(null);
  const files = useRef<HTMLInputElement>(null);

  const champions = models.data?.models.filter(({ role }) => role === 'champion') ?? [];
  const deployed = champions.map(({ task }) => task);
  const task = deployed.includes(choice) ? choice : deployed[0];
  const problem = models.error && asProblem(models.error);
  return (
    <>
      <PageHead title={t('live.title')} intro={t('live.intro')}>
        <Segments
          label={t('live.source')}
          value={source}
          options={SOURCES.map((id) => ({ id, text: t(`live.sources.${id}`) }))}
          onChange={setSource}
        />
        {task !== undefined && deployed.length > 1 && (
          <Segments
            label={t('try.tasks')}
            value={task}
            options={deployed.map((id) => ({ id, text: t(`task.${id}`, { defaultValue: id }) }))}
            onChange={(id) => {
              setChoice(id);
              keepPreference('live.task', id);
            }}
          />
        )}
      </PageHead>
      {problem && <ProblemMessage problem={problem} onRetry={() => void models.refetch()} />}
      {models.isPending && !problem && <Skeleton height={360} />}
      {models.data && task === undefined && (
        <EmptyState icon="layers" title={t('try.no_model_title')} text={t('try.no_model_text')} />
      )}
      {task !== undefined && source === 'camera' && <CameraView task={task} models={models.data?.models ?? []} />}
      {task !== undefined && source === 'file' && (
        <>
          <input
            ref={files}
            type="file"
            accept="video/*"
            hidden
            data-testid="video-file"
            onChange={({ target }) => {
              const file = target.files?.[0];
              if (file) setChosen({ file, number: (chosen?.number ?? 0) + 1 });
              target.value = ''; // the same file may be chosen again
            }}
          />
          {chosen ? (
            // Another task's answers belong to another timeline.
            <VideoView
              key={`${chosen.number} ${task}`}
              file={chosen.file}
              task={task}
              models={models.data?.models ?? []}
              onClose={() => files.current?.click()}
            />
          ) : (
            <EmptyState icon="video" title={t('live.file_title')} text={t('live.file_text')}>
              <Button kind="primary" icon="upload" onPress={() => files.current?.click()}>
                {t('live.choose')}
              </Button>
            </EmptyState>
          )}
        </>
      )}
    </>
  );
}
