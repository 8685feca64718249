import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { Model } from '../../api/client';
import { Button } from '../../components/Button';
import { Card } from '../../components/Card';
import { Compare } from './Compare';
import { ChangeDialog, type Wanted } from './ChangeDialog';
import { championOf, metricText, type CatalogModel, type Version } from './history';
import { MetricName } from './Metric';
import styles from './Models.module.css';
import Report from './Report';
import { Verdict } from './Verdict';

/** Latest versions that are listed at once, beside those with a name. */
const FEW = 10;

interface VersionsProps {
  model: CatalogModel;
  serving: readonly Model[];
  onChanged: () => void;
}

/** The versions of a model, two of them side by side, and what can be done with them. */
export function Versions({ model, serving, onChanged }: VersionsProps) {
  const { t } = useTranslation();
  const champion = championOf(model, serving);
  const challenger = model.versions.find(({ version }) => version !== champion)?.version;
  const [chosen, setChosen] = useState<readonly string[]>(() => {
    const first = [champion, challenger].filter((version) => version !== null && version !== undefined);
    return first.length === 2 ? first : [];
  });
  const [wanted, setWanted] = useState<Wanted | null>(null);
  const [done, setDone] = useState('');
  const [reading, setReading] = useState<string | null>(null);
  const [isWhole, setWhole] = useState(false);
  const few = model.versions.filter(({ aliases }, index) => index < FEW || aliases.length > 0);
  const shown = isWhole ? model.versions : few;
  const beside = serving.some(({ name, role }) => name === model.model && role !== 'champion');
  const [a, b] = chosen.map((name) => model.versions.find(({ version }) => version === name));
  const choose = (version: string) =>
    setChosen(chosen.includes(version) ? chosen.filter((held) => held !== version) : [...chosen, version].slice(-2));
  return (
    <>
      <Card title={t('models.versions')} aside={model.model}>
        <p role="status" className={styles.done}>
          {done}
        </p>
        <ul className={styles.versions}>
          {shown.map((version) => (
            <VersionRow
              key={version.version}
              version={version}
              isChampion={version.version === champion}
              isChosen={chosen.includes(version.version)}
              onChoose={model.versions.length > 1 ? () => choose(version.version) : null}
              isRead={version.version === reading}
              onRead={(isRead) => setReading(isRead ? version.version : null)}
              onWant={(action) => setWanted({ action, version })}
            />
          ))}
        </ul>
        {model.versions.length > few.length && (
          <div>
            <Button small onPress={() => setWhole(!isWhole)}>
              {isWhole ? t('try.less') : t('models.all', { count: model.versions.length })}
            </Button>
          </div>
        )}
        <div className={styles.buttons} role="group" aria-label={t('models.act')}>
          {champion !== null && model.versions.length > 1 && (
            <Button small kind="danger" onPress={() => setWanted({ action: 'rollback', version: null })}>
              {t('models.rollback')}
            </Button>
          )}
          {beside && (
            <Button small onPress={() => setWanted({ action: 'stop', version: null })}>
              {t('models.stop')}
            </Button>
          )}
        </div>
      </Card>
      {a && b ? <Compare a={a} b={b} /> : <p className={styles.note}>{t(model.versions.length > 1 ? 'models.compare_hint' : 'models.only_one')}</p>}
      {wanted && (
        <ChangeDialog
          wanted={wanted}
          model={model.model}
          champion={champion}
          onClose={() => setWanted(null)}
          onDone={(summary) => {
            setWanted(null);
            setDone(t('models.done', { summary }));
            onChanged();
          }}
        />
      )}
    </>
  );
}

interface VersionRowProps {
  version: Version;
  isChampion: boolean;
  isChosen: boolean;
  /** Null where there is nothing to compare it with. */
  onChoose: (() => void) | null;
  isRead: boolean;
  onRead: (isRead: boolean) => void;
  onWant: (action: 'promote' | 'canary') => void;
}

function VersionRow({ version, isChampion, isChosen, onChoose, isRead, onRead, onWant }: VersionRowProps) {
  const { t, i18n } = useTranslation();
  const { language } = i18n;
  const date = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' });
  const opener = useRef<HTMLButtonElement>(null);
  // Buttons of all rows say the same to whoever sees in which row they are.
  const ofVersion = <span className="visually-hidden"> {t('models.version', { version: version.version })}</span>;
  const metric = version.primary_metric;
  const value = version.metrics[metric] ?? null;
  const interval = version.intervals[metric];
  // One that was taken back is promoted again only by somebody who means it.
  const isReady = version.verdict?.decision === 'promote' && !version.rolled_back;
  return (
    <li className={styles.version}>
      <div className={styles.head}>
        <h3>{t('models.version', { version: version.version })}</h3>
        {version.aliases.map((alias) => (
          <span key={alias} className={styles.alias} data-alias={alias}>
            {t(`models.alias.${alias}`, { defaultValue: alias })}
          </span>
        ))}
        <span className={styles.note}>{date.format(new Date(version.created))}</span>
        {version.rolled_back && (
          <span className={styles.warning}>
            {t('models.rolled_back', { when: date.format(new Date(version.rolled_back)) })}
          </span>
        )}
      </div>
      <p>
        <MetricName name={metric} /> <strong>{metricText(metric, value, language)}</strong>{' '}
        <span className={styles.note}>
          {interval
            ? t('models.interval', {
                low: metricText(metric, interval[0], language),
                high: metricText(metric, interval[1], language),
              })
            : t('models.no_interval')}
        </span>
      </p>
      <Verdict version={version} />
      <div className={styles.buttons}>
        {version.report ? (
          <Button ref={opener} small icon="report" aria-expanded={isRead} onPress={() => onRead(!isRead)}>
            {t('models.report.open')}
            {ofVersion}
          </Button>
        ) : (
          <span className={styles.note}>{t('models.report.none')}</span>
        )}
        {onChoose && (
          <label className={styles.check}>
            <input type="checkbox" checked={isChosen} onChange={onChoose} />
            <span aria-hidden="true">{t('models.compare')}</span>
            <span className="visually-hidden">{t('models.select', { version: version.version })}</span>
          </label>
        )}
        {!isChampion && (
          <>
            <Button small kind={isReady ? 'primary' : 'plain'} onPress={() => onWant('promote')}>
              {t('models.promote')}
              {ofVersion}
            </Button>
            <Button small onPress={() => onWant('canary')}>
              {t('models.canary')}
              {ofVersion}
            </Button>
          </>
        )}
      </div>
      {isRead && version.report && (
        <Report
          version={version}
          onClose={() => {
            onRead(false);
            opener.current?.focus();
          }}
        />
      )}
    </li>
  );
}
