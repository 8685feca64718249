import { useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { Model } from '../../api/client';
import { FrameStream, type StreamStatus } from '../../api/stream';
import { Button } from '../../components/Button';
import { Card } from '../../components/Card';
import { Progress } from '../../components/Progress';
import { Segments } from '../../components/Segments';
import { ImageStage, type StageHandle } from '../../components/stage/ImageStage';
import { AS_THE_MODEL } from '../../lib/boxes';
import { downloadText, stem } from '../../lib/download';
import type { Size } from '../../lib/viewport';
import { drawnMoments, leastAsked, modelOf } from './boxView';
import { encodeFrame, inPixelsOf, keepFrameSettings, readFrameSettings } from './frames';
import { FrameSettingsCard } from './FrameSettingsCard';
import styles from './Live.module.css';
import { Seen } from './Seen';
import { ShownCard } from './ShownCard';
import { StreamMessage } from './StreamMessage';
import { Timeline } from './Timeline';
import { csvOf, framesByClass, frameTimes, jsonOf, momentAt, withMoment, type Moment } from './timeline';
import { useDrawing } from './useDrawing';
import { durationOf, seek, walk } from './walk';

const RATES = ['1', '2', '5', '10', '30'] as const;

interface Loaded {
  readonly element: HTMLVideoElement;
  readonly size: Size;
  /** Seconds. */
  readonly duration: number;
}

interface VideoViewProps {
  file: File;
  task: string;
  models: readonly Model[];
  onClose: () => void;
}

/** A video file, frame by frame, with what is seen when. */
export function VideoView({ file, task, models, onClose }: VideoViewProps) {
  const { t } = useTranslation();
  const video = useRef<HTMLVideoElement>(null);
  const stage = useRef<StageHandle>(null);
  const stream = useRef<FrameStream<number> | null>(null);
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const [isBroken, setBroken] = useState(false);
  const [rate, setRate] = useState<(typeof RATES)[number]>('5');
  const [isRunning, setRunning] = useState(false);
  const [isPlaying, setPlaying] = useState(false);
  const [moments, setMoments] = useState<readonly Moment[]>([]);
  const [position, setPosition] = useState(0);
  const [status, setStatus] = useState<StreamStatus>({ state: 'closed' });
  const [settings, setSettings] = useState(readFrameSettings);
  const [view, setView] = useState(AS_THE_MODEL);

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    const url = URL.createObjectURL(file);
    element.src = url;
    return () => {
      element.removeAttribute('src');
      element.load();
      URL.revokeObjectURL(url);
    };
  }, [file]);

  const perSecond = Number(rate);
  const times = useMemo(() => frameTimes(loaded?.duration ?? 0, perSecond), [loaded, perSecond]);
  const done = useMemo(() => new Set(moments.map(({ time }) => time)), [moments]);
  const numDone = times.filter((time) => done.has(time)).length;
  const latest = useRef({ settings, done });
  useEffect(() => {
    latest.current = { settings, done };
  }, [settings, done]);

  useEffect(() => {
    if (!isRunning || !loaded) return;
    const { element, size } = loaded;
    const canvas = document.createElement('canvas');
    const stopper = new AbortController();
    const frames = new FrameStream<number>({
      task,
      threshold: leastAsked(task),
      resend: true,
      onStatus: (next) => {
        if (!stopper.signal.aborted) setStatus(next);
      },
      onAnswer: ({ answer: { prediction, model, problem }, tag: time }) =>
        setMoments((before) =>
          withMoment(before, {
            time,
            model: model ?? null,
            prediction: prediction ? inPixelsOf(prediction, size) : null,
            problem: problem?.code ?? null,
          }),
        ),
    });
    stream.current = frames;
    const missing = times.filter((time) => !latest.current.done.has(time));
    walk(missing, {
      stream: frames,
      signal: stopper.signal,
      seek: (time) => seek(element, time),
      encode: () => encodeFrame(element, canvas, latest.current.settings),
    }).then(
      (isOver) => {
        if (isOver) setRunning(false);
      },
      () => {
        setRunning(false);
        setBroken(true);
      },
    );
    return () => {
      stopper.abort();
      frames.close();
      stream.current = null;
      setStatus({ state: 'closed' });
    };
  }, [isRunning, loaded, task, times]);

  useEffect(() => {
    if (!isPlaying) return;
    let frame = 0;
    const look = () => {
      frame = requestAnimationFrame(look);
      setPosition(video.current?.currentTime ?? 0);
      stage.current?.redraw();
    };
    frame = requestAnimationFrame(look);
    return () => cancelAnimationFrame(frame);
  }, [isPlaying]);

  const onLoaded = (element: HTMLVideoElement) => {
    if (loaded) return;
    void durationOf(element).then(
      (duration) =>
        setLoaded({ element, duration, size: { width: element.videoWidth, height: element.videoHeight } }),
      () => setBroken(true),
    );
  };
  const goTo = (time: number) => {
    setRunning(false);
    video.current?.pause();
    setPosition(time);
    if (video.current) video.current.currentTime = time;
  };
  const play = () => {
    setRunning(false);
    const element = video.current;
    if (!element) return;
    if (isPlaying) element.pause();
    else element.play().catch(() => setPlaying(false));
  };

  // What is told and saved is what is drawn.
  const drawn = useMemo(() => drawnMoments(moments, models, task, view), [moments, models, task, view]);
  const classes = useMemo(
    () => framesByClass(drawnMoments(moments, models, task, { ...view, hidden: new Set() })),
    [moments, models, task, view],
  );
  const now = momentAt(drawn, position, 1.5 / perSecond);
  const { boxes, paint } = useDrawing(now?.prediction ?? null);
  const isFinished = loaded !== null && numDone === times.length;
  const name = stem(file.name);
  return (
    <>
      {/* The stage draws it. */}
      <video
        ref={video}
        className="visually-hidden"
        aria-hidden="true"
        tabIndex={-1}
        preload="auto"
        muted
        playsInline
        onLoadedData={({ currentTarget }) => onLoaded(currentTarget)}
        onError={() => setBroken(true)}
        onPlay={() => setPlaying(true)}
        onPause={() => setPlaying(false)}
        onSeeked={({ currentTarget }) => {
          setPosition(currentTarget.currentTime);
          stage.current?.redraw();
        }}
      />
      {isBroken && (
        <div className={styles.fault} role="alert">
          <p>{t('live.broken', { name: file.name })}</p>
          <div className={styles.row}>
            <Button small onPress={onClose}>
              {t('live.other_file')}
            </Button>
          </div>
        </div>
      )}
      {!isBroken && (
        <div className={styles.view}>
          <div className={styles.left}>
            <div className={styles.stage} data-timeline="">
              <ImageStage
                ref={stage}
                source={loaded?.element ?? null}
                size={loaded?.size ?? { width: 16, height: 9 }}
                boxes={boxes}
                paint={paint}
                label={t('live.file_stage', { name: file.name })}
              />
            </div>
            {loaded && (
              <Timeline
                moments={drawn}
                duration={loaded.duration}
                position={position}
                step={1 / perSecond}
                onSeek={goTo}
              />
            )}
          </div>
          <div className={styles.side}>
            <StreamMessage status={status} onRetry={() => stream.current?.retry()} />
            <Card title={file.name} aside={now?.model && t('try.model', { ...now.model })}>
              <Seen prediction={now?.prediction ?? null} problem={now?.problem} />
              <div className={styles.setting}>
                <span>{t('live.rate')}</span>
                <Segments
                  label={t('live.rate')}
                  options={RATES.map((id) => ({ id, text: id }))}
                  value={rate}
                  onChange={(next) => {
                    setRunning(false);
                    setRate(next);
                  }}
                />
              </div>
              <Progress label={t('live.frames_done', { done: numDone, total: times.length })} value={numDone / times.length} />
              <div className={styles.row}>
                <Button
                  kind="primary"
                  isDisabled={!loaded}
                  onPress={() => {
                    video.current?.pause();
                    if (isFinished) setMoments([]);
                    setRunning(!isRunning);
                  }}
                >
                  {t(isRunning ? 'live.pause' : isFinished ? 'live.again' : numDone > 0 ? 'live.go_on' : 'live.look')}
                </Button>
                <Button isDisabled={!loaded} onPress={play}>
                  {t(isPlaying ? 'live.play_stop' : 'live.play')}
                </Button>
                <Button kind="quiet" onPress={onClose}>
                  {t('live.other_file')}
                </Button>
              </div>
              <p className="visually-hidden" role="status">
                {isFinished ? t('live.finished', { name: file.name }) : ''}
              </p>
              <div className={styles.row} role="group" aria-label={t('try.save')}>
                <Button
                  small
                  icon="download"
                  isDisabled={moments.length === 0}
                  onPress={() => downloadText(csvOf(file.name, task, drawn), `${name}.csv`, 'text/csv')}
                >
                  {t('try.save_csv')}
                </Button>
                <Button
                  small
                  isDisabled={moments.length === 0}
                  onPress={() => downloadText(jsonOf(file.name, task, drawn), `${name}.json`, 'application/json')}
                >
                  {t('try.save_json')}
                </Button>
              </div>
            </Card>
            {task !== 'classification' && (
              <ShownCard model={modelOf(models, task, now?.model ?? null)} classes={classes} view={view} onView={setView} />
            )}
            <FrameSettingsCard
              value={settings}
              onChange={(next) => {
                setSettings(next);
                keepFrameSettings(next);
              }}
            />
          </div>
        </div>
      )}
    </>
  );
}
