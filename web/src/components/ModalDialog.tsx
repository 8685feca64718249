import type { ReactNode } from 'react';
import { Dialog, Modal, ModalOverlay } from 'react-aria-components';

import { classes } from './Button';
import styles from './Dialog.module.css';

interface ModalDialogProps {
  onClose: () => void;
  /** `alertdialog` where something is asked before it happens. */
  role?: 'dialog' | 'alertdialog';
  /** Has room for a picture. */
  isWide?: boolean;
  /** Nothing but its own buttons closes it meanwhile. */
  isBusy?: boolean;
  children: ReactNode;
}

/** The frame of every dialog: over all else, closed by Escape and by a press beside it. */
export function ModalDialog({ onClose, role = 'dialog', isWide = false, isBusy = false, children }: ModalDialogProps) {
  return (
    <ModalOverlay
      className={styles.overlay ?? ''}
      isOpen
      isDismissable={!isBusy}
      isKeyboardDismissDisabled={isBusy}
      onOpenChange={(isOpen) => {
        if (!isOpen) onClose();
      }}
    >
      <Modal className={classes(styles.modal, isWide && styles.wide)}>
        <Dialog className={styles.dialog ?? ''} role={role}>
          {children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
