import { Label, Slider as AriaSlider, SliderOutput, SliderThumb, SliderTrack } from 'react-aria-components';

import styles from './Slider.module.css';

interface SliderProps {
  label: string;
  value: number;
  onChange: (value: number) => void;
  min?: number;
  max?: number;
  step?: number;
  /** A value marked on the track, such as where it started. */
  mark?: number | undefined;
  format?: Intl.NumberFormatOptions;
  /** Shown in place of the value, where the value alone would mislead. */
  text?: string | undefined;
}

const PERCENT: Intl.NumberFormatOptions = { style: 'percent', maximumFractionDigits: 0 };

export function Slider({ label, value, onChange, min = 0, max = 1, step = 0.01, mark, format = PERCENT, text }: SliderProps) {
  return (
    <AriaSlider<number>
      className={styles.slider ?? ''}
      value={value}
      onChange={onChange}
      minValue={min}
      maxValue={max}
      step={step}
      formatOptions={format}
    >
      <Label className={styles.label ?? ''}>{label}</Label>
      <SliderOutput className={styles.output ?? ''}>{({ defaultChildren }) => text ?? defaultChildren}</SliderOutput>
      <SliderTrack className={styles.track ?? ''}>
        {({ state }) => (
          <>
            <span className={styles.rail} />
            <span className={styles.fill} style={{ width: `${state.getThumbPercent(0) * 100}%` }} />
            {mark !== undefined && (
              <span className={styles.mark} style={{ left: `${((mark - min) / (max - min)) * 100}%` }} />
            )}
            <SliderThumb className={styles.thumb ?? ''} />
          </>
        )}
      </SliderTrack>
    </AriaSlider>
  );
}
