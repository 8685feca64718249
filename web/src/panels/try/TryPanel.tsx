import { useTranslation } from 'react-i18next';

import { PageHead } from '../../components/PageHead';

export default function TryPanel() {
  const { t } = useTranslation();
  return <PageHead title={t('try.title')} intro={t('try.intro')} />;
}
