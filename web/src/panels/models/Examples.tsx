import { useTranslation } from 'react-i18next';

import { ApiProblem } from '../../api/problem';
import { useBlobUrl } from '../../components/useBlobUrl';
import { classStyle } from '../../lib/colors';
import styles from './Models.module.css';
import { inWords, useExamplePicture, type Example } from './report';
import own from './Report.module.css';

interface ExamplesProps {
  reportId: string;
  examples: readonly Example[];
}

/** The images with the worst answers: what they show, and what the model made of them. */
export function Examples({ reportId, examples }: ExamplesProps) {
  const { t } = useTranslation();
  const hasBoxes = examples.some(({ prediction }) => prediction.detections);
  if (examples.length === 0) return <p className={styles.note}>{t('models.report.no_examples')}</p>;
  return (
    <section className={own.part}>
      <h5>{t('models.report.examples')}</h5>
      <p className={styles.note}>{t(hasBoxes ? 'models.report.examples_boxes' : 'models.report.examples_about')}</p>
      <ul className={own.examples}>
        {examples.map((example) => (
          <li key={example.picture}>
            <ExampleFigure reportId={reportId} example={example} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function ExampleFigure({ reportId, example }: { reportId: string; example: Example }) {
  const { t, i18n } = useTranslation();
  const picture = useExamplePicture(reportId, example.picture);
  const url = useBlobUrl(picture.data ?? null);
  const percent = new Intl.NumberFormat(i18n.language, { style: 'percent' });
  const { width, height, truth, prediction } = example;
  const { ranked, detections } = prediction;
  const best = ranked?.[0];
  const found = best ? `${best.class}, ${percent.format(best.score)}` : inWords(detections ?? []);
  const nothing = t('models.report.nothing');
  const words = { truth: inWords(truth) || nothing, found: found || nothing };
  return (
    <figure className={own.example}>
      <div className={own.picture} style={{ aspectRatio: `${width} / ${height}` }} data-small={width < 100 ? '' : undefined}>
        {url && <img src={url} alt={t('models.report.example', { id: example.id, ...words })} />}
        {picture.error && (
          <p className={styles.note}>
            {t(
              picture.error instanceof ApiProblem && picture.error.status === 403
                ? 'models.report.picture_denied'
                : 'models.report.picture_gone',
            )}
          </p>
        )}
        {url && detections && (
          <svg viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
            {detections.map(({ box_xyxy: box, class_id: id }, index) => (
              <Outline key={index} box={box} color={classStyle(id).color} />
            ))}
            {truth.map(({ box_xyxy: box }, index) => box && <Outline key={index} box={box} color="#ffffff" isTruth />)}
          </svg>
        )}
      </div>
      <figcaption>
        <span>{t('models.report.truth', words)}</span>
        <strong>{t('models.report.found', words)}</strong>
      </figcaption>
    </figure>
  );
}

interface OutlineProps {
  box: readonly [number, number, number, number];
  color: string;
  isTruth?: boolean;
}

/** A dark line below makes it seen on any picture. */
function Outline({ box: [x1, y1, x2, y2], color, isTruth = false }: OutlineProps) {
  const place = { x: x1, y: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1) };
  return (
    <>
      <rect {...place} data-halo="" />
      <rect {...place} stroke={color} data-truth={isTruth ? '' : undefined} />
    </>
  );
}
