import { lazy, type ComponentType, type LazyExoticComponent } from 'react';

import type { IconName } from './components/Icon';

export interface PanelRoute {
  /** Address; the service answers it with this page too (VIEWS in serving/page.py). */
  path: string;
  /** Names the messages `<name>.nav` (the tab) and `<name>.title`. */
  name: string;
  icon: IconName;
  panel: LazyExoticComponent<ComponentType>;
}

/** The panels in the order of the navigation. A new one: a folder in panels/, its messages, and a line here. */
export const ROUTES: readonly PanelRoute[] = [
  { path: '/', name: 'try', icon: 'scan', panel: lazy(() => import('./panels/try/TryPanel')) },
  { path: '/many', name: 'many', icon: 'grid', panel: lazy(() => import('./panels/many/ManyPanel')) },
  { path: '/live', name: 'live', icon: 'video', panel: lazy(() => import('./panels/live/LivePanel')) },
  { path: '/label', name: 'label', icon: 'tag', panel: lazy(() => import('./panels/label/LabelPanel')) },
  { path: '/watch', name: 'watch', icon: 'pulse', panel: lazy(() => import('./panels/watch/WatchPanel')) },
  { path: '/models', name: 'models', icon: 'layers', panel: lazy(() => import('./panels/models/ModelsPanel')) },
];
