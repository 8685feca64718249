import { render, screen } from '@testing-library/react';
import { beforeAll, expect, it } from 'vitest';

import { startMessages } from '../../lib/messages';
import { Seen } from './Seen';

beforeAll(startMessages);

it('a frame that was refused says why, and not that nothing is there', () => {
  render(<Seen prediction={null} problem="rate_limited" />);
  expect(screen.getByTestId('seen')).toHaveTextContent('Too many requests');
});
