import { useState } from 'react';
import { Header, Menu, MenuItem, MenuSection, MenuTrigger, Popover } from 'react-aria-components';
import { useTranslation } from 'react-i18next';

import { chooseLanguage, languageName, LANGUAGES } from '../lib/messages';
import { chooseTheme, readTheme, THEMES } from '../lib/theme';
import { IconButton } from './Button';
import { Icon, type IconName } from './Icon';
import styles from './Preferences.module.css';

const ICONS: Record<(typeof THEMES)[number], IconName> = { system: 'contrast', light: 'sun', dark: 'moon' };

/** Colour scheme and language. */
export function Preferences() {
  const { t, i18n } = useTranslation();
  const [theme, setTheme] = useState(readTheme);
  return (
    <MenuTrigger>
      <IconButton icon={ICONS[theme]} label={t('app.preferences')} />
      <Popover className={styles.popover ?? ''} placement="bottom start">
        <Menu className={styles.menu ?? ''} aria-label={t('app.preferences')}>
          <MenuSection
            selectionMode="single"
            disallowEmptySelection
            selectedKeys={[theme]}
            onSelectionChange={(keys) => {
              const chosen = THEMES.find((name) => keys !== 'all' && keys.has(name)) ?? 'system';
              chooseTheme(chosen);
              setTheme(chosen);
            }}
          >
            <Header className={styles.header}>{t('app.theme')}</Header>
            {THEMES.map((name) => (
              <MenuItem key={name} id={name} className={styles.item ?? ''} textValue={t(`app.themes.${name}`)}>
                <Icon name={ICONS[name]} size={18} />
                <span>{t(`app.themes.${name}`)}</span>
                <Icon name="check" size={16} />
              </MenuItem>
            ))}
          </MenuSection>
          <MenuSection
            selectionMode="single"
            disallowEmptySelection
            selectedKeys={[i18n.language]}
            onSelectionChange={(keys) => {
              const chosen = LANGUAGES.find((name) => keys !== 'all' && keys.has(name));
              if (chosen !== undefined) void chooseLanguage(chosen);
            }}
          >
            <Header className={styles.header}>{t('app.language')}</Header>
            {LANGUAGES.map((name) => (
              <MenuItem key={name} id={name} className={styles.item ?? ''} textValue={languageName(name)}>
                <Icon name="globe" size={18} />
                <span lang={name}>{languageName(name)}</span>
                <Icon name="check" size={16} />
              </MenuItem>
            ))}
          </MenuSection>
        </Menu>
      </Popover>
    </MenuTrigger>
  );
}
