import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation } from 'wouter';

import { ROUTES } from '../routes';
import styles from './AppShell.module.css';
import { Icon } from './Icon';
import { Preferences } from './Preferences';

/** Navigation around a panel: a rail at the side, or on phones a bar at the bottom. */
export function AppShell({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  const [location] = useLocation();
  return (
    <div className={styles.shell}>
      <a className={styles.skip} href="#main">
        {t('app.skip')}
      </a>
      <header className={styles.head}>
        <span className={styles.brand}>
          <Icon name="scan" size={22} />
          visionloop
        </span>
        <Preferences />
      </header>
      <nav className={styles.nav} aria-label={t('app.navigation')}>
        <ul>
          {ROUTES.map(({ path, name, icon }) => (
            <li key={path}>
              <Link href={path} className={styles.link} aria-current={location === path ? 'page' : undefined}>
                <Icon name={icon} />
                <span>{t(`${name}.nav`)}</span>
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      <main id="main" className={styles.main} tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}
