import { useTranslation } from 'react-i18next';

import { ApiProblem } from '../../api/problem';
import { useBlobUrl } from '../../components/useBlobUrl';
import { classStyle } from '../../lib/colors';
import { useNumbers } from '../../lib/numbers';
import styles from './Models.module.css';
import { inWords, judged, useExamplePicture, type Example, type JudgedBox } from './report';
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
  const { t } = useTranslation();
  const picture = useExamplePicture(reportId, example.picture);
  const url = useBlobUrl(picture.data ?? null);
  const { percent } = useNumbers();
  const { width, height, truth, prediction } = example;
  const { ranked, detections } = prediction;
  const boxes = detections ? judged(truth, detections) : [];
  const best = ranked?.[0];
  const found = best ? `${best.class}, ${percent(best.score)}` : inWords(detections ?? []);
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
            {boxes.map(({ box, classId, verdict }, index) => (
              <Outline
                key={index}
                box={box}
                color={verdict === 'missed' ? '#ffffff' : classStyle(classId).color}
                isMissed={verdict === 'missed'}
              />
            ))}
            {boxes.map((item, index) => (
              <BoxLabel key={index} item={item} size={Math.max(width, height) / 14} />
            ))}
          </svg>
        )}
      </div>
      <figcaption>
        <code className={styles.note}>{example.id}</code>
        <span>{t('models.report.truth', words)}</span>
        <strong>{t('models.report.found', words)}</strong>
        {FAULTS.map((verdict) => {
          const ones = boxes.filter((item) => item.verdict === verdict);
          if (ones.length === 0) return null;
          const names = inWords(
            ones.map((item) => ({
              class: item.actual === undefined ? item.class : t('models.report.for', { found: item.class, actual: item.actual }),
            })),
          );
          return (
            <span key={verdict} className={own.fault}>
              {MARKS[verdict]} {t(`models.report.fault.${verdict}`, { names })}
            </span>
          );
        })}
      </figcaption>
    </figure>
  );
}

const FAULTS = ['wrong_class', 'false', 'missed'] as const;
/** What stands before a class where it is not right; the caption says the same in words. */
const MARKS: Readonly<Record<JudgedBox['verdict'], string>> = { right: '', wrong_class: '≠', false: '+', missed: '?' };

/**
 * A box's class, as large as can be read where the picture is a column wide: of a right one above its upper left
 * corner, else inside of its lower left one, since a wrong box often lies on a right one.
 */
function BoxLabel({ item: { box, class: name, verdict }, size }: { item: JudgedBox; size: number }) {
  return (
    <text
      x={box[0]}
      y={verdict === 'right' ? Math.max(size, box[1] - size / 5) : box[3] - size / 5}
      fontSize={size}
      strokeWidth={size / 4}
    >
      {MARKS[verdict]}
      {name}
    </text>
  );
}

interface OutlineProps {
  box: readonly [number, number, number, number];
  color: string;
  isMissed: boolean;
}

/** A dark line below makes it seen on any picture. */
function Outline({ box: [x1, y1, x2, y2], color, isMissed }: OutlineProps) {
  const place = { x: x1, y: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1) };
  return (
    <>
      <rect {...place} data-halo="" />
      <rect {...place} stroke={color} data-truth={isMissed ? '' : undefined} />
    </>
  );
}
