import { Heading } from 'react-aria-components';
import { useTranslation } from 'react-i18next';

import { Button } from '../../components/Button';
import dialog from '../../components/Dialog.module.css';
import { ModalDialog } from '../../components/ModalDialog';

interface RemoveDialogProps {
  name: string;
  onRemove: () => void;
  onClose: () => void;
}

/** Asks before a finished batch is removed: its results cannot be had again. */
export function RemoveDialog({ name, onRemove, onClose }: RemoveDialogProps) {
  const { t } = useTranslation();
  return (
    <ModalDialog onClose={onClose} role="alertdialog">
      <Heading slot="title">{t('many.remove_title')}</Heading>
      <p>{t('many.remove_text', { name })}</p>
      <div className={dialog.actions}>
        <Button kind="quiet" onPress={onClose}>
          {t('app.cancel')}
        </Button>
        <Button
          kind="danger"
          icon="trash"
          onPress={() => {
            onClose();
            onRemove();
          }}
        >
          {t('many.remove_yes')}
        </Button>
      </div>
    </ModalDialog>
  );
}
