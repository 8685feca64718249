import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { Suspense, useEffect } from 'react';
import { I18nProvider, RouterProvider } from 'react-aria-components';
import { useTranslation } from 'react-i18next';
import { Route, Switch, useLocation } from 'wouter';

import { ApiProblem } from './api/problem';
import { AppShell } from './components/AppShell';
import { EmptyState } from './components/EmptyState';
import { ErrorBoundary } from './components/ErrorBoundary';
import { KeyDialog } from './components/KeyDialog';
import { PanelSkeleton } from './components/Skeleton';
import { ROUTES } from './routes';

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // What the service refuses it will refuse again; a lost connection may come back.
      retry: (count, error) => count < 2 && error instanceof ApiProblem && error.isTransient,
    },
  },
});

export function App() {
  const { i18n, t } = useTranslation();
  const [, navigate] = useLocation();
  return (
    <QueryClientProvider client={queries}>
      <I18nProvider locale={i18n.language}>
        <RouterProvider navigate={navigate}>
          <AppShell>
            <Switch>
              {ROUTES.map(({ path, name, panel: Panel }) => (
                <Route key={path} path={path}>
                  <ErrorBoundary key={name}>
                    <title>{`${t(`${name}.title`)} · visionloop`}</title>
                    {/* One of its own: of a common one, the panel before would be hidden until this one has loaded, and
                        go on listening to keys, and filming. */}
                    <Suspense fallback={<PanelSkeleton />}>
                      <Panel />
                      <Ready />
                    </Suspense>
                  </ErrorBoundary>
                </Route>
              ))}
              <Route>
                <title>{`${t('app.unknown_title')} · visionloop`}</title>
                <EmptyState icon="scan" title={t('app.unknown_title')} text={t('app.unknown_text')} />
              </Route>
            </Switch>
          </AppShell>
          <KeyDialog />
        </RouterProvider>
      </I18nProvider>
    </QueryClientProvider>
  );
}

/** Marks when a panel can be used, for whoever measures it. */
function Ready() {
  useEffect(() => {
    performance.mark('visionloop-ready');
  }, []);
  return null;
}
