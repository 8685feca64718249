import { Fragment, type ReactNode } from 'react';

import { parseMarkdown, type Block, type Span } from './markdown';
import styles from './Report.module.css';

/** A model card, made of elements only: nothing in it is ever HTML. It is English, as the service writes it. */
export function ModelCard({ source }: { source: string }) {
  return (
    <div className={styles.prose} lang="en">
      {parseMarkdown(source).map((block, index) => (
        <Fragment key={index}>{shown(block)}</Fragment>
      ))}
    </div>
  );
}

function shown(block: Block): ReactNode {
  switch (block.kind) {
    case 'heading':
      // Below the report's own headings.
      return block.level === 1 ? <h5>{spans(block.spans)}</h5> : <h6>{spans(block.spans)}</h6>;
    case 'list':
      return (
        <ul>
          {block.items.map((item, index) => (
            <li key={index}>{spans(item)}</li>
          ))}
        </ul>
      );
    case 'code':
      return <pre>{block.text}</pre>;
    case 'paragraph':
      return <p>{spans(block.spans)}</p>;
  }
}

function spans(items: readonly Span[]): ReactNode {
  return items.map(({ kind, text }, index) => {
    if (kind === 'code') return <code key={index}>{text}</code>;
    return kind === 'strong' ? <strong key={index}>{text}</strong> : <Fragment key={index}>{text}</Fragment>;
  });
}
