import { useTranslation } from 'react-i18next';

import { Card } from '../../components/Card';
import { Segments } from '../../components/Segments';
import { Slider } from '../../components/Slider';
import { SIZES, type FrameSettings } from './frames';
import styles from './Live.module.css';

interface FrameSettingsCardProps {
  value: FrameSettings;
  onChange: (value: FrameSettings) => void;
}

/** How much of the picture the service is sent: the smaller, the faster. */
export function FrameSettingsCard({ value, onChange }: FrameSettingsCardProps) {
  const { t } = useTranslation();
  return (
    <Card title={t('live.sent')}>
      <div className={styles.setting}>
        <span>{t('live.size')}</span>
        <Segments
          label={t('live.size')}
          options={SIZES.map((id) => ({ id, text: `${id} px` }))}
          value={SIZES.find((size) => Number(size) === value.longest) ?? '640'}
          onChange={(size) => onChange({ ...value, longest: Number(size) })}
        />
      </div>
      <Slider
        label={t('live.quality')}
        value={value.quality}
        min={0.3}
        step={0.05}
        onChange={(quality) => onChange({ ...value, quality })}
      />
      <p className={styles.hint}>{t('live.sent_about')}</p>
    </Card>
  );
}
