import { useTranslation } from 'react-i18next';

import type { StreamStatus } from '../../api/stream';
import { Button } from '../../components/Button';
import { ProblemMessage } from '../../components/ProblemMessage';
import styles from './Live.module.css';

/** What keeps frames from being answered, and what is done about it. */
export function StreamMessage({ status, onRetry }: { status: StreamStatus; onRetry: () => void }) {
  const { t } = useTranslation();
  if (status.state !== 'waiting' && status.state !== 'refused') return null;
  return (
    <ProblemMessage problem={status.problem}>
      {status.state === 'waiting' && <p>{t('live.reconnecting')}</p>}
      <div className={styles.row}>
        <Button small icon="retry" onPress={onRetry}>
          {t('live.retry_now')}
        </Button>
      </div>
    </ProblemMessage>
  );
}
