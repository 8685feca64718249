import { render, screen } from '@testing-library/react';
import { beforeAll, expect, it, vi } from 'vitest';

import { ApiProblem, unreachable } from '../../api/problem';
import { startMessages } from '../../lib/messages';
import { Asked } from './Asked';
import { Overview } from './Overview';
import type { AlertsAnswer } from './watch';

beforeAll(startMessages);

const asked = (data: string | undefined, error: Error | null) =>
  render(
    <Asked query={{ data, error, refetch: vi.fn() }} titleKey="watch.alerts.title">
      {(found) => <details>{found}</details>}
    </Asked>,
  );

it('what was known stays where the next question fails, with why it is not newer', () => {
  asked('two alerts', unreachable());
  expect(screen.getByText('two alerts')).toBeInTheDocument();
  expect(screen.getByRole('alert')).toHaveTextContent('The service does not answer');
  expect(screen.getByRole('button', { name: 'Try again' })).toBeInTheDocument();
});

it('what may not be seen any more is taken away', () => {
  asked('two alerts', new ApiProblem('role_too_low', 403, 'the role is feedback'));
  expect(screen.queryByText('two alerts')).toBeNull();
  expect(screen.queryByRole('alert')).toBeNull();
});

it('what failed at once is told under its title', () => {
  asked(undefined, new TypeError('unreadable'));
  expect(screen.getByRole('heading', { name: 'Alerts' })).toBeInTheDocument();
  expect(screen.getByRole('alert')).toHaveTextContent('unreadable');
});

it('an overview says nothing of what is not known yet', () => {
  const overview = (alerts: AlertsAnswer | undefined, drift: null | undefined) =>
    render(<Overview summary={null} drift={drift} alerts={alerts} askedAt={Date.parse('2026-11-21T12:00:00Z')} />);
  const { unmount } = overview(undefined, undefined);
  expect(screen.getByRole('link', { name: /Alerts firing/ })).toHaveTextContent('Alerts firing…');
  expect(screen.queryByText(/not checked yet/)).toBeNull();
  unmount();
  overview({ watched_at: '2026-11-21T11:59:50Z', watch_interval_s: 30, alerts: [] }, null);
  expect(screen.getByRole('link', { name: /Alerts firing/ })).toHaveTextContent('Alerts firing0all quiet');
  expect(screen.getByText(/not checked yet/)).toBeInTheDocument();
});
