import { useQueryClient } from '@tanstack/react-query';
import { useLayoutEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation, useSearch } from 'wouter';

import { useModels } from '../../api/client';
import { asProblem } from '../../api/problem';
import { Button, Toggle } from '../../components/Button';
import { EmptyState } from '../../components/EmptyState';
import { PageHead } from '../../components/PageHead';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Segments } from '../../components/Segments';
import { Skeleton } from '../../components/Skeleton';
import { keepPreference, readPreference } from '../../lib/preferences';
import { useItems, type Source } from './items';
import styles from './Label.module.css';
import { Workbench } from './Workbench';

const SOURCES: readonly Source[] = ['useful', 'latest', 'judged'];

/** Says of stored predictions whether they were right, and what would have been. */
export default function LabelPanel() {
  const { t } = useTranslation();
  const models = useModels();
  const [choice, setChoice] = useState(() => readPreference('label.task'));
  const asked = new URLSearchParams(useSearch());
  const [chosen, setSource] = useState<Source>('useful');
  const [, navigate] = useLocation();
  // Another panel may lead to one prediction.
  const one = asked.get('prediction');
  const source: Source = one === null ? chosen : `one:${one}`;
  // A single key that does something gets in the way of speech input: it can be switched off (WCAG 2.1.4).
  const [hasKeys, setKeys] = useState(() => readPreference('label.keys') !== 'off');
  useLayoutEffect(() => {
    // The menu's link would keep Enter to itself. Before the picture looks where the focus is, hence the layout's turn.
    if (document.activeElement?.closest('nav')) document.getElementById('main')?.focus({ preventScroll: true });
  }, []);
  const champions = models.data?.models.filter(({ role }) => role === 'champion') ?? [];
  const model = champions.find(({ task }) => task === (asked.get('task') ?? choice)) ?? champions[0];
  const problem = models.error && asProblem(models.error);
  return (
    <>
      <PageHead title={t('label.title')} intro={t('label.intro')} isBrief>
        {champions.length > 1 && model && (
          <Segments
            label={t('label.task')}
            value={model.task}
            options={champions.map(({ task: id }) => ({ id, text: t(`task.${id}`, { defaultValue: id }) }))}
            onChange={(id) => {
              navigate('/label');
              setChoice(id);
              keepPreference('label.task', id);
            }}
          />
        )}
      </PageHead>
      {problem && <ProblemMessage problem={problem} onRetry={() => void models.refetch()} />}
      {models.isPending && !problem && <Skeleton height={420} />}
      {models.data && !model && (
        <EmptyState icon="layers" title={t('try.no_model_title')} text={t('try.no_model_text')} />
      )}
      {model && (
        <div className={styles.panel}>
          <div className={styles.bar}>
            <Segments
              label={t('label.source')}
              value={source}
              options={SOURCES.map((id) => ({ id, text: t(`label.sources.${id}`) }))}
              onChange={(id) => {
                navigate('/label');
                setSource(id);
              }}
            />
            <div className={styles.keyboard}>
              <Toggle
                isSelected={hasKeys}
                onChange={(on) => {
                  setKeys(on);
                  keepPreference('label.keys', on ? 'on' : 'off');
                }}
              >
                {t('label.keys')}
              </Toggle>
            </div>
          </div>
          <Items
            key={`${model.task} ${source}`}
            task={model.task}
            source={source}
            classes={model.classes}
            point={model.operating_point}
            hasKeys={hasKeys}
          />
        </div>
      )}
    </>
  );
}

interface ItemsProps {
  task: string;
  source: Source;
  classes: readonly string[];
  point: Readonly<Record<string, unknown>>;
  hasKeys: boolean;
}

function Items({ task, source, ...rest }: ItemsProps) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const items = useItems(task, source);
  const again = () => void queries.resetQueries({ queryKey: ['label', task, source] });
  if (items.error) {
    return <ProblemMessage problem={asProblem(items.error)} onRetry={again} />;
  }
  if (!items.data) return <Skeleton height={420} />;
  if (items.data.length === 0) {
    return (
      <EmptyState icon="tag" title={t('label.empty_title')} text={t(`label.empty.${source.startsWith('one:') ? 'latest' : source}`)}>
        <Button small icon="retry" onPress={again}>
          {t('label.look_again')}
        </Button>
      </EmptyState>
    );
  }
  return <Workbench key={items.dataUpdatedAt} items={items.data} onAgain={again} {...rest} />;
}
