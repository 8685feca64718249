/** Text, or a piece of it that stands out. */
export interface Span {
  readonly kind: 'text' | 'strong' | 'code';
  readonly text: string;
}

export type Block =
  | { readonly kind: 'heading'; readonly level: number; readonly spans: readonly Span[] }
  | { readonly kind: 'paragraph'; readonly spans: readonly Span[] }
  | { readonly kind: 'list'; readonly items: readonly (readonly Span[])[] }
  | { readonly kind: 'code'; readonly text: string };

const HEADING = /^(#{1,6})\s+(.*)$/;
const ITEM = /^\s*[-*+]\s+(.*)$/;
const FENCE = '```';
const SPAN = /`([^`]+)`|\*\*([^*]+)\*\*/g;

/**
 * What a model card is written in: headings, paragraphs, lists, strong text and code.
 *
 * A card carries names that people gave to classes and data. So there are no links, no pictures and no HTML: whatever
 * is none of the above is text, and is shown as it was written.
 */
export function parseMarkdown(source: string): Block[] {
  const blocks: Block[] = [];
  const lines = source.replaceAll('\r\n', '\n').split('\n');
  let paragraph: string[] = [];
  let items: string[] = [];
  const end = () => {
    if (paragraph.length > 0) blocks.push({ kind: 'paragraph', spans: spansOf(paragraph.join(' ')) });
    if (items.length > 0) blocks.push({ kind: 'list', items: items.map(spansOf) });
    [paragraph, items] = [[], []];
  };
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    const [heading, item] = [HEADING.exec(line), ITEM.exec(line)];
    if (line.startsWith(FENCE)) {
      end();
      const close = lines.findIndex((other, at) => at > index && other.startsWith(FENCE));
      const last = close < 0 ? lines.length : close;
      blocks.push({ kind: 'code', text: lines.slice(index + 1, last).join('\n') });
      index = last;
    } else if (heading) {
      end();
      blocks.push({ kind: 'heading', level: heading[1]?.length ?? 1, spans: spansOf(heading[2] ?? '') });
    } else if (item) {
      if (paragraph.length > 0) end();
      items.push(item[1] ?? '');
    } else if (line.trim() === '') {
      end();
    } else if (items.length > 0 && /^\s/.test(line)) {
      items.push(`${items.pop() ?? ''} ${line.trim()}`);
    } else {
      if (items.length > 0) end();
      paragraph.push(line.trim());
    }
  }
  end();
  return blocks;
}

function spansOf(text: string): Span[] {
  const spans: Span[] = [];
  let from = 0;
  for (const match of text.matchAll(SPAN)) {
    if (match.index > from) spans.push({ kind: 'text', text: text.slice(from, match.index) });
    const [all, code, strong] = match;
    spans.push(code === undefined ? { kind: 'strong', text: strong ?? '' } : { kind: 'code', text: code });
    from = match.index + all.length;
  }
  if (from < text.length) spans.push({ kind: 'text', text: text.slice(from) });
  return spans;
}
