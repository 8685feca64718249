import { useTranslation } from 'react-i18next';

import { Button } from '../../components/Button';
import { Card } from '../../components/Card';
import { DropArea } from '../../components/DropArea';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Progress } from '../../components/Progress';
import { Segments } from '../../components/Segments';
import { useNumbers } from '../../lib/numbers';
import type { Chosen } from './files';
import styles from './ManyPanel.module.css';
import type { Sending } from './store';

/** Phones and tablets have the attribute, and no folders to choose. */
const canChooseFolders = !window.matchMedia('(pointer: coarse)').matches;

/** Where nothing is chosen yet: every way to bring many pictures. */
export function AddMany({ onFolder, onFiles, isEmpty }: { onFolder: () => void; onFiles: () => void; isEmpty: boolean }) {
  const { t } = useTranslation();
  return (
    <DropArea
      icon="grid"
      title={t(canChooseFolders ? 'many.drop_title' : 'many.choose_title')}
      text={t(canChooseFolders ? 'many.drop_text' : 'many.choose_text')}
      fault={isEmpty ? t('many.no_images') : undefined}
    >
      {canChooseFolders && (
        <Button kind="primary" icon="upload" onPress={onFolder}>
          {t('many.choose_folder')}
        </Button>
      )}
      <Button {...(canChooseFolders ? {} : { kind: 'primary', icon: 'upload' })} onPress={onFiles}>
        {t('many.choose_files')}
      </Button>
    </DropArea>
  );
}

interface ConfirmProps {
  chosen: Chosen;
  tasks: readonly string[];
  task: string;
  onTask: (task: string) => void;
  onStart: () => void;
  onDiscard: () => void;
}

/** What is about to be sent, and which model shall answer. */
export function Confirm({ chosen, tasks, task, onTask, onStart, onDiscard }: ConfirmProps) {
  const { t } = useTranslation();
  return (
    <Card title={chosen.name} aside={useExtent(chosen)}>
      <Left chosen={chosen} />
      {tasks.length > 1 && (
        <div className={styles.task}>
          <span aria-hidden="true">{t('many.task')}</span>
          <Segments
            label={t('many.task')}
            value={task}
            options={tasks.map((id) => ({ id, text: t(`task.${id}`, { defaultValue: id }) }))}
            onChange={onTask}
          />
        </div>
      )}
      <div className={styles.buttons}>
        <Button kind="primary" icon="upload" isDisabled={numImages(chosen) === 0} onPress={onStart}>
          {t('many.start')}
        </Button>
        <Button kind="quiet" onPress={onDiscard}>
          {t('many.discard')}
        </Button>
      </div>
    </Card>
  );
}

interface UploadProps {
  sending: Sending;
  onCancel: () => void;
  onRetry: () => void;
  onDiscard: () => void;
}

/** How the upload stands. */
export function Upload({ sending: { chosen, status, progress, problem }, onCancel, onRetry, onDiscard }: UploadProps) {
  const { t } = useTranslation();
  const goesOn = status === 'sending' || status === 'checking';
  return (
    <Card title={chosen.name} aside={useExtent(chosen)}>
      {goesOn && (
        <Progress label={t(`many.${status}`)} {...(status === 'sending' ? { value: progress } : {})} />
      )}
      <p role="status" className={status === 'cancelled' ? undefined : 'visually-hidden'}>
        {status === 'cancelled' ? t('many.upload_cancelled') : ''}
      </p>
      {problem && <ProblemMessage problem={problem} />}
      <div className={styles.buttons}>
        {goesOn ? (
          <Button small icon="close" onPress={onCancel}>
            {t('app.cancel')}
          </Button>
        ) : (
          <>
            {/* What the service refuses it refuses again. */}
            {(!problem || problem.isTransient || problem.needsKey || problem.status >= 500) && (
              <Button small icon="retry" onPress={onRetry}>
                {t('app.retry')}
              </Button>
            )}
            <Button small kind="quiet" onPress={onDiscard}>
              {t('many.discard')}
            </Button>
          </>
        )}
      </div>
    </Card>
  );
}

/** Files of a batch that are named where they are left out: a folder may have thousands of others. */
const MOST_NAMED = 20;

/** What is not sent, and why. */
function Left({ chosen: { left } }: { chosen: Chosen }) {
  const { t } = useTranslation();
  const { bytes } = useNumbers();
  // What is too large is what somebody wanted to send; other files come with any folder.
  const ordered = [...left].sort((a, b) => a.reason.localeCompare(b.reason));
  if (left.length === 0) return null;
  return (
    <details className={styles.left} open={left.some(({ reason }) => reason === 'size')}>
      <summary>{t('many.num_skipped', { count: left.length })}</summary>
      <ul>
        {ordered.slice(0, MOST_NAMED).map(({ name, reason, bytes: size }) => (
          <li key={name}>{t(`many.left.${reason}`, { name, size: bytes(size) })}</li>
        ))}
        {left.length > MOST_NAMED && <li>{t('many.and_more', { count: left.length - MOST_NAMED })}</li>}
      </ul>
    </details>
  );
}

function numImages({ content }: Chosen): number {
  return content.kind === 'zip' ? Infinity : content.images.length;
}

/** How many images and bytes there are. */
function useExtent({ content, bytes: size }: Chosen): string {
  const { t } = useTranslation();
  const { bytes } = useNumbers();
  return [
    content.kind === 'zip' ? t('many.archive') : t('many.images', { count: content.images.length }),
    bytes(size),
  ].join(' · ');
}
