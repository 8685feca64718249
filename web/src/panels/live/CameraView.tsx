import { useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import type { Model } from '../../api/client';
import type { ApiProblem } from '../../api/problem';
import { FrameStream, refusalOf, type FrameAnswer, type FramePrediction, type StreamStatus } from '../../api/stream';
import { Button } from '../../components/Button';
import { Card } from '../../components/Card';
import { EmptyState } from '../../components/EmptyState';
import { ProblemMessage } from '../../components/ProblemMessage';
import { ImageStage, type StageHandle } from '../../components/stage/ImageStage';
import { cameraFault, closeCamera, listCameras, openCamera, type CameraFault } from '../../lib/camera';
import { AS_THE_MODEL } from '../../lib/boxes';
import { givePicture } from '../../lib/inbox';
import { Rate, Rolling } from '../../lib/rolling';
import type { Size } from '../../lib/viewport';
import { drawnOf, leastAsked, modelOf } from './boxView';
import { Figures, NO_FIGURES, type LiveFigures } from './Figures';
import { encodeFrame, inPixelsOf, keepFrameSettings, readFrameSettings, snapshotOf } from './frames';
import { FrameSettingsCard } from './FrameSettingsCard';
import styles from './Live.module.css';
import { Seen } from './Seen';
import { ShownCard } from './ShownCard';
import { StreamMessage } from './StreamMessage';
import { useClassesNow } from './useClassesNow';
import { usePageVisible } from './usePageVisible';
import { useDrawing } from './useDrawing';

const FIGURES_MS = 500;
const NONE: ReadonlySet<string> = new Set();

interface Shown {
  /** What was asked; another task's answer is not drawn over what this one sees. */
  readonly task: string;
  readonly model: FrameAnswer['model'] | null;
  readonly prediction: FramePrediction | null;
  /** Why there is none. */
  readonly problem: ApiProblem | null;
}

/** The camera with what the model says of it, as fast as it says it. */
export function CameraView({ task, models }: { task: string; models: readonly Model[] }) {
  const { t } = useTranslation();
  const isVisible = usePageVisible();
  const video = useRef<HTMLVideoElement>(null);
  const stage = useRef<StageHandle>(null);
  const stream = useRef<FrameStream<Size> | null>(null);
  const [isOn, setOn] = useState(false);
  const [isPaused, setPaused] = useState(false);
  const [deviceId, setDeviceId] = useState<string | null>(null);
  // The one that the browser chose, where none was asked for.
  const [openId, setOpenId] = useState('');
  const [cameras, setCameras] = useState<readonly MediaDeviceInfo[]>([]);
  const [fault, setFault] = useState<CameraFault | null>(null);
  const [source, setSource] = useState<{ element: HTMLVideoElement; size: Size } | null>(null);
  const [status, setStatus] = useState<StreamStatus>({ state: 'closed' });
  const [last, setShown] = useState<Shown | null>(null);
  const shown = last?.task === task ? last : null;
  const [figures, setFigures] = useState<LiveFigures>(NO_FIGURES);
  const [settings, setSettings] = useState(readFrameSettings);
  const [kept, setKept] = useState<string[]>([]);
  const [view, setView] = useState(AS_THE_MODEL);
  const latest = useRef(settings);
  useEffect(() => {
    latest.current = settings;
  }, [settings]);

  // Nobody is filmed who does not see it: another tab, another panel, and the camera is off.
  const isOpen = isOn && isVisible;
  useEffect(() => {
    if (!isOpen) return;
    let opened: MediaStream | null = null;
    let isOver = false;
    const element = video.current;
    openCamera(deviceId === null ? { facingMode: 'environment' } : { deviceId }).then(
      (media) => {
        opened = media;
        if (isOver || !element) {
          closeCamera(media);
          return;
        }
        element.srcObject = media;
        play(element);
        const [track] = media.getVideoTracks();
        setOpenId(track?.getSettings().deviceId ?? '');
        // A cable pulled out.
        track?.addEventListener('ended', () => {
          setOn(false);
          setFault('camera_none');
        });
        void listCameras().then(setCameras);
      },
      (error: unknown) => {
        if (isOver) return;
        setOn(false);
        setFault(cameraFault(error));
      },
    );
    return () => {
      isOver = true;
      if (opened) closeCamera(opened);
      if (element) element.srcObject = null;
      setSource(null);
      setShown(null);
    };
  }, [isOpen, deviceId]);

  const isAsking = source !== null && !isPaused;
  useEffect(() => {
    const element = video.current;
    if (!isAsking || !element) return;
    const canvas = document.createElement('canvas');
    const [rate, latency, model] = [new Rate(), new Rolling(), new Rolling()];
    let [seen, answered, lastTime, frame] = [0, 0, -1, 0];
    let width = element.videoWidth;
    let [isConnected, isEncoding, isOver] = [false, false, false];
    const frames = new FrameStream<Size>({
      task,
      threshold: leastAsked(task),
      onStatus: (next) => {
        isConnected = next.state === 'open';
        if (!isConnected) rate.pause();
        if (!isOver) setStatus(next);
      },
      onAnswer: ({ answer, tag, latencyMs }) => {
        answered += 1;
        rate.tick(performance.now());
        latency.push(latencyMs);
        if (typeof answer.ms === 'number') model.push(answer.ms);
        setShown({
          task,
          model: answer.model ?? null,
          prediction: answer.prediction ? inPixelsOf(answer.prediction, tag) : null,
          problem: answer.problem ? refusalOf(answer) : null,
        });
      },
    });
    stream.current = frames;
    const send = async () => {
      const size = { width: element.videoWidth, height: element.videoHeight };
      const data = await encodeFrame(element, canvas, latest.current);
      if (data && !isOver) frames.send(data, size);
    };
    const look = () => {
      frame = requestAnimationFrame(look);
      if (element.currentTime === lastTime) return;
      lastTime = element.currentTime;
      if (element.videoWidth !== width && element.videoWidth > 0) {
        // A phone was turned.
        width = element.videoWidth;
        setSource({ element, size: { width, height: element.videoHeight } });
      }
      stage.current?.redraw();
      if (isConnected) seen += 1;
      if (isEncoding || !frames.isFree) return;
      isEncoding = true;
      void send().finally(() => (isEncoding = false));
    };
    frame = requestAnimationFrame(look);
    const timer = setInterval(() => {
      const underWay = frames.pending + (isEncoding ? 1 : 0);
      setFigures({
        framesPerSecond: rate.perSecond,
        latencyMs: latency.median,
        modelMs: model.median,
        seen,
        dropped: Math.max(0, seen - answered - underWay),
      });
    }, FIGURES_MS);
    return () => {
      isOver = true;
      cancelAnimationFrame(frame);
      clearInterval(timer);
      frames.close();
      stream.current = null;
      setStatus({ state: 'closed' });
    };
  }, [isAsking, task]);

  const pause = (paused: boolean) => {
    setPaused(paused);
    if (paused) video.current?.pause();
    else if (video.current) play(video.current);
  };
  const snapshot = async () => {
    if (!video.current) return;
    const file = await snapshotOf(video.current, `${t('live.snapshot_name')}-${kept.length + 1}.jpg`);
    if (!file) return;
    givePicture(file);
    setKept([...kept, file.name]);
  };
  const start = () => {
    setFault(null);
    setPaused(false);
    setFigures(NO_FIGURES);
    setOn(true);
  };

  const model = modelOf(models, task, shown?.model ?? null);
  const prediction = shown?.prediction ?? null;
  const drawn = useMemo(() => drawnOf(prediction, model, view), [prediction, model, view]);
  const { boxes, paint } = useDrawing(drawn);
  const classes = useClassesNow(model, drawnOf(prediction, model, { ...view, hidden: NONE }));
  return (
    <>
      {fault && (
        <p className={styles.fault} role="alert">
          {t(`try.${fault}`)}
        </p>
      )}
      {/* The stage draws it; it is here because not every browser plays what is not part of a page. */}
      <video
        ref={video}
        className="visually-hidden"
        aria-hidden="true"
        tabIndex={-1}
        muted
        playsInline
        onLoadedData={({ currentTarget: element }) => {
          if (isPaused) element.pause(); // the tab was left meanwhile
          setSource({ element, size: { width: element.videoWidth, height: element.videoHeight } });
        }}
      />
      {!isOn && (
        <EmptyState icon="video" title={t('live.camera_title')} text={t('live.camera_text')}>
          <Button kind="primary" icon="video" onPress={start}>
            {t('live.start')}
          </Button>
        </EmptyState>
      )}
      {isOn && (
        <div className={styles.view}>
          <div className={styles.left}>
            <div className={styles.stage}>
              <ImageStage
                ref={stage}
                source={source?.element ?? null}
                size={source?.size ?? { width: 16, height: 9 }}
                boxes={boxes}
                paint={paint}
                label={t('live.stage')}
              />
            </div>
            <div className={styles.row}>
              <Button small onPress={() => pause(!isPaused)}>
                {t(isPaused ? 'live.resume' : 'live.pause')}
              </Button>
              <Button small icon="camera" isDisabled={!source} onPress={() => void snapshot()}>
                {t('live.snapshot')}
              </Button>
              {cameras.length > 1 && (
                <label className={styles.select}>
                  <span>{t('live.which')}</span>
                  <select
                    value={openId}
                    onChange={({ target }) => {
                      pause(false);
                      setDeviceId(target.value);
                    }}
                  >
                    {cameras.map((camera, index) => (
                      <option key={camera.deviceId} value={camera.deviceId}>
                        {camera.label || t('live.camera_number', { number: index + 1 })}
                      </option>
                    ))}
                  </select>
                </label>
              )}
              <Button small kind="quiet" icon="close" onPress={() => setOn(false)}>
                {t('live.stop')}
              </Button>
            </div>
            <p role="status" className={styles.kept}>
              {!source && t('try.camera_start')}
              {source && kept.length > 0 && (
                <>
                  {t('live.kept', { name: kept.at(-1) })} <Link href="/">{t('live.kept_open')}</Link>
                </>
              )}
            </p>
          </div>
          <div className={styles.side}>
            <StreamMessage status={status} onRetry={() => stream.current?.retry()} />
            {shown?.problem && status.state === 'open' && <ProblemMessage problem={shown.problem} />}
            <Card title={t('live.seen')} aside={shown?.model && t('try.model', { ...shown.model })}>
              <Seen prediction={drawn} />
            </Card>
            {task !== 'classification' && <ShownCard model={model} classes={classes} view={view} onView={setView} />}
            <Card title={t('live.figures')}>
              <Figures figures={figures} />
            </Card>
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

/** Not by `autoPlay`, with which browsers stop a video that is scrolled out of sight. */
function play(video: HTMLVideoElement) {
  video.play().catch(() => {
    // Closed before it began.
  });
}
