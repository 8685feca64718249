import { useState } from 'react';
import { Form, Heading, Input, Label, TextField } from 'react-aria-components';
import { useTranslation } from 'react-i18next';

import { asProblem, type ApiProblem } from '../../api/problem';
import { Button } from '../../components/Button';
import dialog from '../../components/Dialog.module.css';
import { ModalDialog } from '../../components/ModalDialog';
import { ProblemMessage } from '../../components/ProblemMessage';
import { Slider } from '../../components/Slider';
import { change, type Version } from './history';
import styles from './Models.module.css';
import { checkWords, reasons } from './verdict';

export interface Wanted {
  readonly action: 'promote' | 'rollback' | 'canary' | 'stop';
  /** Null where the action is not about one. */
  readonly version: Version | null;
}

interface ChangeDialogProps {
  wanted: Wanted;
  model: string;
  champion: string | null;
  onClose: () => void;
  onDone: (summary: string) => void;
}

/** Says what will happen, and does it once that is confirmed. */
export function ChangeDialog({ wanted: { action, version }, model, champion, onClose, onDone }: ChangeDialogProps) {
  const { t, i18n } = useTranslation();
  const [why, setWhy] = useState('');
  const [share, setShare] = useState(0.1);
  const [isForced, setForced] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ApiProblem | null>(null);
  const names = { model, version: version?.version, champion: champion ?? t('models.none') };
  const decision = version?.verdict?.decision;
  // A canary may be how evidence comes; a promotion needs it.
  const isApproved = action === 'promote' ? decision === 'promote' : action !== 'canary' || decision !== 'refuse';

  const confirm = () => {
    setBusy(true);
    setProblem(null);
    change({
      action,
      model,
      version: version?.version ?? null,
      share: action === 'canary' ? share : null,
      why: why.trim() || 'by hand',
      force: !isApproved && isForced,
    }).then(onDone, (error: unknown) => {
      setProblem(asProblem(error));
      setBusy(false);
    });
  };

  return (
    <ModalDialog onClose={onClose} isBusy={isBusy}>
      <Form
        className={dialog.form ?? ''}
        onSubmit={(event) => {
          event.preventDefault();
          confirm();
        }}
      >
        <Heading slot="title">{t(`models.confirm_title.${action}`, names)}</Heading>
        <p>{t(`models.confirm.${action}`, names)}</p>
        {!isApproved && (
          <>
            <p className={styles.warning}>
              {version?.verdict
                ? t('models.gate_refused', {
                    summary: reasons(version.verdict.checks)
                      .map((check) => checkWords(t, check, i18n.language).text)
                      .join(' '),
                  })
                : t('models.gate_not_asked')}
            </p>
            <label className={styles.check}>
              <input type="checkbox" checked={isForced} onChange={({ target }) => setForced(target.checked)} />
              {t('models.force')}
            </label>
          </>
        )}
        {action === 'canary' && (
          <Slider label={t('models.canary_share')} value={share} onChange={setShare} min={0.01} max={1} />
        )}
        {(action === 'promote' || action === 'rollback') && (
          <TextField value={why} onChange={setWhy} maxLength={500}>
            <Label className={dialog.label ?? ''}>{t('models.why')}</Label>
            <Input className={dialog.input ?? ''} />
          </TextField>
        )}
        {problem && <ProblemMessage problem={problem} />}
        <p className={dialog.hint} role="status">
          {isBusy ? t('models.working') : ''}
        </p>
        <div className={dialog.actions}>
          <Button kind="quiet" isDisabled={isBusy} onPress={onClose}>
            {t('app.cancel')}
          </Button>
          <Button
            kind={action === 'rollback' ? 'danger' : 'primary'}
            type="submit"
            isDisabled={isBusy || (!isApproved && !isForced)}
          >
            {t(`models.confirm_button.${action}`)}
          </Button>
        </div>
      </Form>
    </ModalDialog>
  );
}
