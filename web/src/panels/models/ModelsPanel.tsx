import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { useModels, type Model } from '../../api/client';
import { asProblem } from '../../api/problem';
import { Card } from '../../components/Card';
import { EmptyState } from '../../components/EmptyState';
import { PageHead } from '../../components/PageHead';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Segments } from '../../components/Segments';
import { Skeleton } from '../../components/Skeleton';
import { useNumbers } from '../../lib/numbers';
import { Changes } from './Changes';
import { useHistory } from './history';
import styles from './Models.module.css';
import { Versions } from './Versions';

/** What serves, every version with its evidence, and who changed what. */
export default function ModelsPanel() {
  const { t } = useTranslation();
  const serving = useModels();
  const history = useHistory();
  const [choice, setChoice] = useState<string | null>(null);
  const models = history.data?.models ?? [];
  const model = models.find(({ model: name }) => name === choice) ?? models[0];
  const problem = serving.error ?? history.error;
  const again = () => {
    void serving.refetch();
    void history.refetch();
  };
  return (
    <>
      <PageHead title={t('models.title')} intro={t('models.intro')}>
        {models.length > 1 && model && (
          <Segments
            label={t('models.title')}
            value={model.model}
            options={models.map(({ model: id }) => ({ id, text: id }))}
            onChange={setChoice}
          />
        )}
      </PageHead>
      <div className={styles.panel}>
        {problem && <ProblemMessage problem={asProblem(problem)} onRetry={again} />}
        {serving.isPending && <Skeleton height={160} />}
        {serving.data && <Serving models={serving.data.models} failures={serving.data.failures} />}
        {history.isPending && <Skeleton height={320} />}
        {history.data && !model && (
          <EmptyState icon="layers" title={t('models.none_title')} text={t('models.none_text')} />
        )}
        {history.data && model && (
          <div className={styles.columns}>
            <div className={styles.column}>
              <Versions key={model.model} model={model} serving={serving.data?.models ?? []} onChanged={again} />
            </div>
            <Changes
              changes={history.data.changes.filter(({ model: name }) => name === model.model)}
              versions={model.versions}
            />
          </div>
        )}
      </div>
    </>
  );
}

function Serving({ models, failures }: { models: readonly Model[]; failures: Readonly<Record<string, string>> }) {
  const { t } = useTranslation();
  const { finePercent } = useNumbers();
  const failed = Object.entries(failures);
  return (
    <Card title={t('models.serves')}>
      {models.length === 0 && <p className={styles.note}>{t('models.nothing_serves')}</p>}
      <ul className={styles.serving}>
        {models.map((model) => (
          <li key={`${model.task} ${model.role}`} data-role={model.role}>
            <span className={styles.role}>
              {t(`task.${model.task}`, { defaultValue: model.task })} · {t(`models.roles.${model.role}`)}
            </span>
            <strong>
              {model.name} {model.version}
            </strong>
            <span className={styles.note}>
              {model.role === 'shadow' ? t('models.unseen') : t('models.share', { share: finePercent(model.share) })}
            </span>
            {model.stopped && (
              <span className={styles.warning}>{t('models.stopped', { reason: model.stopped })}</span>
            )}
          </li>
        ))}
      </ul>
      {failed.length > 0 && (
        <div className={styles.warning}>
          <p>{t('models.failures')}</p>
          <ul>
            {failed.map(([slot, reason]) => (
              <li key={slot}>
                {slot}: {reason}
              </li>
            ))}
          </ul>
        </div>
      )}
    </Card>
  );
}
