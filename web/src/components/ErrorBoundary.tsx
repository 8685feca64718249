import { Component, type ReactNode } from 'react';
import { Translation } from 'react-i18next';

import { Button } from './Button';
import { EmptyState } from './EmptyState';

/** Stands between a panel that failed and the rest of the page. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return (
      <Translation>
        {(t) => (
          <EmptyState icon="alert" title={t('app.failed_title')} text={t('app.failed_text')}>
            <Button icon="retry" onPress={() => window.location.reload()}>
              {t('app.reload')}
            </Button>
          </EmptyState>
        )}
      </Translation>
    );
  }
}
