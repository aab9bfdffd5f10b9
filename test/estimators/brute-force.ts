/**
 * Estimates straight from their definition, in float64 and step by step: every loss times the sum of the
 * perturbations (each over its sigma^2) that had acted on its particle's episode. The inner problem is s' =
 * 0.9 s + theta, loss (s' - 2)^2 / 2.
 */
import { fillNormalRows, foldIn, STREAMS } from '../../src/random/index.js';

export interface BruteForceOptions {
  readonly pairs: number;
  readonly horizon: number;
  readonly truncation: number;
  /** Windows after which a perturbation is drawn anew when nothing else happens. */
  readonly blockWindows: number;
  readonly windows: number;
  readonly theta: number;
  readonly sigma: (update: number) => number;
  readonly seed: number;
  /** First step of each pair's first episode. */
  readonly offsets: ArrayLike<number>;
  /** Objective: the loss of the last step, estimated by its changes. */
  readonly telescoping?: boolean;
}

/** N(0, 1) of estimate `update` for every pair: the counters that estimators promise to use. */
function normals(seed: number, update: number, pairs: number): Float32Array {
  const out = new Float32Array(pairs);
  fillNormalRows(out, 1, { seed: foldIn(seed, 2), stream: STREAMS.theta, draw: 0, step: update });
  return out;
}

/** The estimate of every window. */
export function bruteForce(options: BruteForceOptions): number[] {
  const { pairs, horizon, truncation, blockWindows, windows, theta, sigma, seed, offsets, telescoping } =
    options;
  const estimates = new Array<number>(windows).fill(0);
  const draws = Array.from({ length: windows }, (_, w) => normals(seed, w, pairs));
  for (let p = 0; p < pairs; p++) {
    for (const sign of [1, -1]) {
      let s = 1;
      let t = offsets[p];
      // Perturbations over sigma^2 that have acted on this episode, each once.
      let acted = new Map<number, number>();
      let drawnAt = 0;
      let newEpisode = true;
      let final = 0;
      let finalWeight = 0;
      let blockStart = 0;
      for (let w = 0; w < windows; w++) {
        if (newEpisode || Math.floor(t / (blockWindows * truncation)) !== blockStart) {
          drawnAt = w;
          blockStart = Math.floor(t / (blockWindows * truncation));
        }
        newEpisode = false;
        const eps = sign * sigma(drawnAt) * draws[drawnAt][p];
        let window = telescoping ? -finalWeight * final : 0;
        for (let k = 0; k < truncation; k++) {
          acted.set(drawnAt, eps / sigma(drawnAt) ** 2);
          const weight = [...acted.values()].reduce((a, b) => a + b, 0);
          s = 0.9 * s + theta + eps;
          const loss = 0.5 * (s - 2) ** 2;
          const last = ++t === horizon;
          if (!telescoping) window += weight * loss;
          else if (last || k === truncation - 1) window += weight * loss;
          final = loss;
          finalWeight = weight;
          if (last) {
            t = 0;
            s = 1;
            acted = new Map();
            final = 0;
            finalWeight = 0;
            newEpisode = true;
          }
        }
        estimates[w] += window / (2 * pairs);
      }
    }
  }
  return estimates;
}
