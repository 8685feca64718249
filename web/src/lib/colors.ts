// Okabe and Ito's colours, which the colour-blind tell apart, then muted ones of Paul Tol's.
const PALETTE = [
  '#0072b2',
  '#e69f00',
  '#009e73',
  '#d55e00',
  '#cc79a7',
  '#56b4e9',
  '#f0e442',
  '#882255',
  '#999933',
  '#44aa99',
] as const;

export interface ClassStyle {
  readonly color: string;
  /** Black or white, whichever is better read on the colour. */
  readonly text: string;
  /** Dashes of the outline: none for the first ten classes, so that no two of twenty look the same. */
  readonly dash: readonly number[];
}

const DASHES: readonly (readonly number[])[] = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

/** How a class looks, by its id. */
export function classStyle(classId: number): ClassStyle {
  const color = PALETTE[classId % PALETTE.length] ?? PALETTE[0];
  return {
    color,
    text: textOn(color),
    dash: DASHES[Math.floor(classId / PALETTE.length) % DASHES.length] ?? [],
  };
}

/** A class's colour where it fills an area, which cannot be dashed: paler from the eleventh class on. */
export function areaColor(classId: number): string {
  const { color } = classStyle(classId);
  const round = Math.floor(classId / PALETTE.length) % DASHES.length;
  return round === 0 ? color : `color-mix(in srgb, ${color} ${100 - 25 * round}%, var(--surface))`;
}

/** White or near-black, by the contrast of WCAG 2.2. */
export function textOn(background: string): string {
  const luminance = relativeLuminance(background);
  return 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.054 ? '#ffffff' : '#0b0f13';
}

export function contrast(first: string, second: string): number {
  const [low = 0, high = 0] = [relativeLuminance(first), relativeLuminance(second)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

function relativeLuminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((start) => {
    const share = parseInt(hex.slice(start, start + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
