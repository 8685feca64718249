import { useTranslation } from 'react-i18next';

import type { Model } from '../../api/client';
import { ClassChips, ThresholdSlider } from '../../components/BoxFilter';
import { Card } from '../../components/Card';
import { operatingPoint, type BoxView } from '../../lib/boxes';
import { LEAST_ASKED } from './boxView';

interface ShownCardProps {
  model: Model | undefined;
  classes: readonly { readonly name: string; readonly classId: number; readonly count: number }[];
  view: BoxView;
  onView: (view: BoxView) => void;
}

/** Which boxes are drawn: those of a confidence, and of some classes. */
export function ShownCard({ model, classes, view, onView }: ShownCardProps) {
  const { t } = useTranslation();
  return (
    <Card title={t('live.shown')}>
      <ThresholdSlider
        point={operatingPoint(model?.operating_point)}
        numClasses={model?.classes.length ?? 0}
        min={LEAST_ASKED}
        view={view}
        onView={onView}
      />
      <ClassChips classes={classes} view={view} onView={onView} />
    </Card>
  );
}
