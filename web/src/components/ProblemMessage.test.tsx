import { render, screen } from '@testing-library/react';
import { beforeAll, describe, expect, it } from 'vitest';

import { ApiProblem } from '../api/problem';
import { startMessages } from '../lib/messages';
import { ProblemMessage } from './ProblemMessage';

beforeAll(startMessages);

const facts = { where: 'image 1', expected: 'one of JPEG, PNG', action: 'convert the file' };

describe('a problem', () => {
  it('of a known code is said in the words of the page, with those of the service beside', () => {
    render(<ProblemMessage problem={new ApiProblem('image_unsupported_format', 415, 'no image', facts)} />);
    expect(screen.getByRole('alert')).toHaveTextContent('Use JPEG, PNG, WebP or BMP');
    expect(screen.getByRole('alert')).toHaveTextContent('one of JPEG, PNG');
    expect(screen.getByRole('alert')).toHaveTextContent('415 image_unsupported_format');
  });

  it('of an unknown code is said in the words of the service', () => {
    render(<ProblemMessage problem={new ApiProblem('brand_new', 422, 'something new is wrong', facts)} />);
    expect(screen.getAllByText('something new is wrong').length).toBeGreaterThan(0);
    expect(screen.getByRole('alert')).toHaveTextContent('convert the file');
  });

  it('is text, whatever stands in it', () => {
    render(<ProblemMessage problem={new ApiProblem('x', 400, '<img src=x onerror=alert(1)>', facts, 1)} />);
    expect(document.querySelector('img')).toBeNull();
    expect(screen.getByRole('alert')).toHaveTextContent('Try again after a second.');
  });
});
