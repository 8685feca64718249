import { useId, useMemo } from 'react';
import { Label, Slider, SliderOutput, SliderThumb, SliderTrack } from 'react-aria-components';
import { useTranslation } from 'react-i18next';

import { Segments } from '../../components/Segments';
import slider from '../../components/Slider.module.css';
import { useNumbers } from '../../lib/numbers';
import styles from './Filters.module.css';
import { picturesBySubject, type Filter, type Order, type Row, type Subject } from './rows';

const ORDERS: readonly Order[] = ['unsure', 'name', 'class'];

interface FiltersProps {
  rows: readonly Row[];
  filter: Filter;
  onFilter: (filter: Filter) => void;
  order: Order;
  onOrder: (order: Order) => void;
}

/** Which pictures are shown, and in which order. */
export function Filters({ rows, filter, onFilter, order, onOrder }: FiltersProps) {
  const { t } = useTranslation();
  const numbers = useNumbers();
  const id = useId();
  const { range } = filter;
  const num = useMemo(() => picturesBySubject(rows, { range }), [rows, range]);
  const hasRange = filter.subject !== 'nothing' && filter.subject !== 'failed';
  return (
    <div className={styles.filters} role="group" aria-label={t('many.filters')}>
      <div className={styles.field}>
        <label htmlFor={id}>{t('many.class')}</label>
        <select
          id={id}
          className={styles.select}
          value={filter.subject}
          onChange={({ target }) => onFilter({ ...filter, subject: target.value as Subject })}
        >
          <option value="all">{t('many.all', { count: num.all })}</option>
          {num.classes.map(({ name, count }) => (
            <option key={name} value={`class:${name}`}>{`${name} (${numbers.count(count)})`}</option>
          ))}
          {num.nothing > 0 && <option value="nothing">{`${t('many.nothing')} (${numbers.count(num.nothing)})`}</option>}
          {num.failed > 0 && <option value="failed">{`${t('many.failed')} (${numbers.count(num.failed)})`}</option>}
        </select>
      </div>
      <div className={styles.range}>
        <Slider<number[]>
          className={slider.slider ?? ''}
          value={[...filter.range]}
          onChange={([low = 0, high = 1]) => onFilter({ ...filter, range: [low, high] })}
          minValue={0}
          maxValue={1}
          step={0.01}
          isDisabled={!hasRange}
          formatOptions={{ style: 'percent', maximumFractionDigits: 0 }}
        >
          <Label className={slider.label ?? ''}>{t('many.confidence')}</Label>
          <SliderOutput className={slider.output ?? ''}>
            {({ state }) => `${state.getThumbValueLabel(0)} – ${state.getThumbValueLabel(1)}`}
          </SliderOutput>
          <SliderTrack className={slider.track ?? ''}>
            {({ state }) => (
              <>
                <span className={slider.rail} />
                <span
                  className={styles.fill}
                  style={{
                    left: `${state.getThumbPercent(0) * 100}%`,
                    width: `${(state.getThumbPercent(1) - state.getThumbPercent(0)) * 100}%`,
                  }}
                />
                <SliderThumb index={0} className={slider.thumb ?? ''} aria-label={t('many.least')} />
                <SliderThumb index={1} className={slider.thumb ?? ''} aria-label={t('many.most')} />
              </>
            )}
          </SliderTrack>
        </Slider>
      </div>
      <div className={styles.field}>
        <span aria-hidden="true">{t('many.order')}</span>
        <Segments
          label={t('many.order')}
          value={order}
          options={ORDERS.map((name) => ({ id: name, text: t(`many.orders.${name}`) }))}
          onChange={onOrder}
        />
      </div>
    </div>
  );
}
