import { useEffect, useRef, useState } from 'react';
import { Heading } from 'react-aria-components';
import { useTranslation } from 'react-i18next';

import { Button } from '../../components/Button';
import dialog from '../../components/Dialog.module.css';
import { ModalDialog } from '../../components/ModalDialog';
import { Skeleton } from '../../components/Skeleton';
import { cameraFault, closeCamera, openCamera, type CameraFault } from '../../lib/camera';
import styles from './CameraDialog.module.css';

/** Shows the camera and takes a photo. */
export function CameraDialog({ onPhoto, onClose }: { onPhoto: (file: File) => void; onClose: () => void }) {
  const { t } = useTranslation();
  const video = useRef<HTMLVideoElement>(null);
  const [facing, setFacing] = useState<'environment' | 'user'>('environment');
  const [isReady, setReady] = useState(false);
  const [fault, setFault] = useState<CameraFault | null>(null);

  useEffect(() => {
    let stream: MediaStream | null = null;
    let closed = false;
    openCamera({ facingMode: facing }).then(
      (opened) => {
        stream = opened;
        if (closed) closeCamera(opened);
        else if (video.current) video.current.srcObject = opened;
      },
      (error: unknown) => {
        if (!closed) setFault(cameraFault(error));
      },
    );
    return () => {
      closed = true;
      if (stream) closeCamera(stream);
    };
  }, [facing]);

  const take = () => {
    const source = video.current;
    if (!source) return;
    const canvas = document.createElement('canvas');
    canvas.width = source.videoWidth;
    canvas.height = source.videoHeight;
    canvas.getContext('2d')?.drawImage(source, 0, 0);
    canvas.toBlob(
      (blob) => {
        if (blob) onPhoto(new File([blob], 'photo.jpg', { type: 'image/jpeg' }));
      },
      'image/jpeg',
      0.92,
    );
  };
  return (
    <ModalDialog onClose={onClose} isWide>
      <div className={dialog.form}>
        <Heading slot="title">{t('try.camera_title')}</Heading>
        {fault ? (
          <p role="alert" className={dialog.text}>
            {t(`try.${fault}`)}
          </p>
        ) : (
          <div className={styles.preview}>
            {!isReady && <Skeleton height="100%" />}
            <video
              ref={video}
              autoPlay
              muted
              playsInline
              aria-label={t('try.camera_title')}
              onLoadedData={() => setReady(true)}
            />
          </div>
        )}
        <div className={dialog.actions}>
          <Button kind="quiet" onPress={onClose}>
            {t('app.cancel')}
          </Button>
          {!fault && (
            <>
              <Button
                icon="retry"
                onPress={() => {
                  setReady(false);
                  setFacing(facing === 'user' ? 'environment' : 'user');
                }}
              >
                {t('try.camera_switch')}
              </Button>
              <Button kind="primary" icon="camera" isDisabled={!isReady} onPress={take}>
                {t('try.camera_take')}
              </Button>
            </>
          )}
        </div>
      </div>
    </ModalDialog>
  );
}
