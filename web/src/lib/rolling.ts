/** The latest values; their median ignores the odd one out, such as the first frame's. */
export class Rolling {
  private values: number[] = [];

  constructor(private readonly size = 30) {}

  push(value: number) {
    this.values.push(value);
    if (this.values.length > this.size) this.values.shift();
  }

  /** Null while there is none. */
  get median(): number | null {
    const sorted = [...this.values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    const upper = sorted[middle];
    if (upper === undefined) return null;
    return sorted.length % 2 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
  }

  clear() {
    this.values = [];
  }
}

/** Events a second, from the median time between them. */
export class Rate {
  private readonly gaps: Rolling;
  private last: number | null = null;

  constructor(size = 30) {
    this.gaps = new Rolling(size);
  }

  /** Something happened at `at`, in milliseconds. */
  tick(at: number) {
    if (this.last !== null) this.gaps.push(at - this.last);
    this.last = at;
  }

  get perSecond(): number | null {
    const gap = this.gaps.median;
    return gap === null || gap <= 0 ? null : 1000 / gap;
  }

  /** What comes next follows a pause. */
  pause() {
    this.last = null;
  }
}
