import { useState, useSyncExternalStore } from 'react';
import { Form, Heading, Input, Label, TextField } from 'react-aria-components';
import { useTranslation } from 'react-i18next';

import { keyQuestion, onKeyQuestion, type KeyQuestion } from '../api/key';
import { Button } from './Button';
import styles from './Dialog.module.css';
import { ModalDialog } from './ModalDialog';

/** Asks for an API key when the service refuses without one. */
export function KeyDialog() {
  const question = useSyncExternalStore(onKeyQuestion, keyQuestion);
  return question && <Question question={question} />;
}

function Question({ question }: { question: KeyQuestion }) {
  const { t } = useTranslation();
  const [key, setKey] = useState('');
  const wrong = question.problem.code === 'key_unknown';
  return (
    <ModalDialog onClose={() => question.answer(null)}>
      <Form
        className={styles.form ?? ''}
        onSubmit={(event) => {
          event.preventDefault();
          if (key.trim()) question.answer(key.trim());
        }}
      >
        <Heading slot="title">{t(wrong ? 'key.wrong_title' : 'key.title')}</Heading>
        <p className={styles.text}>{t(wrong ? 'key.wrong_text' : 'key.text')}</p>
        {/* eslint-disable-next-line jsx-a11y/no-autofocus -- a dialog takes the focus; its one field is the place for it */}
        <TextField autoFocus type="password" autoComplete="off" value={key} onChange={setKey}>
          <Label className={styles.label ?? ''}>{t('key.label')}</Label>
          <Input className={styles.input ?? ''} />
        </TextField>
        <p className={styles.hint}>{t('key.kept')}</p>
        <div className={styles.actions}>
          <Button kind="quiet" onPress={() => question.answer(null)}>
            {t('app.cancel')}
          </Button>
          <Button kind="primary" type="submit" isDisabled={!key.trim()}>
            {t('key.use')}
          </Button>
        </div>
      </Form>
    </ModalDialog>
  );
}
