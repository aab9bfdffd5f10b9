/** Random draws and perturbed thetas, made on the host: the same counters and bits as on every other device. */
import { type GraphNode, sizeOf, type TypedArray } from '../../graph/graph.js';
import {
  type Draw,
  fillBernoulli,
  fillIntegers,
  fillNormal,
  fillUniform,
  STREAMS,
} from '../../random/index.js';
import type { ThetaInput } from '../driver.js';

/** The particles [first, first + count) of a run of `total`. */
export interface ParticleRange {
  readonly first: number;
  readonly count: number;
  /** Antithetic pairs of the whole run; 0 without (then every particle is its own pair). */
  readonly pairs: number;
}

/** The pair of each particle of the range. */
function pairsOf({ first, count, pairs }: ParticleRange): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => (pairs > 0 ? (first + i) % pairs : first + i));
}

/** Key and counter words that the draws of one step share. */
export interface DrawStep {
  readonly seed: number;
  readonly stream: number;
  readonly step: number;
}

/** The values of a random node: [...shape] when shared by all, else [count, ...shape]. */
export function drawNode(node: GraphNode, at: DrawStep, range: ParticleRange): TypedArray {
  const { op } = node;
  if (op.name !== 'random') throw new TypeError(`'${op.name}' is no draw`);
  const size = sizeOf(node.shape);
  const rows = op.share === 'all' ? 1 : range.count;
  const subject = op.share === 'all' ? 0 : op.share === 'pair' ? pairsOf(range) : range.first;
  const draw: Draw = { ...at, draw: op.draw, subject };
  const { kind } = op;
  switch (kind.distribution) {
    case 'normal': {
      const out = new Float32Array(rows * size);
      fillNormal(out, draw, size);
      return out;
    }
    case 'uniform': {
      const out = new Float32Array(rows * size);
      fillUniform(out, draw, kind.low, kind.high, size);
      return out;
    }
    case 'integers': {
      const out = new Int32Array(rows * size);
      fillIntegers(out, draw, kind.low, kind.high, size);
      return out;
    }
    case 'bernoulli': {
      const out = new Uint8Array(rows * size);
      fillBernoulli(out, draw, kind.p, size);
      return out;
    }
  }
}

/** Flat thetas of a range, [count, P]; [P] for one that all particles share. */
export function thetaRows(theta: ThetaInput, elements: number, range: ParticleRange): Float32Array {
  const { first, count, pairs } = range;
  if (theta.kind === 'shared') return theta.values;
  if (theta.kind === 'perParticle') {
    return theta.values.subarray(first * elements, (first + count) * elements);
  }
  const subject = pairsOf(range);
  const { noiseStep, mean, sigma, seed } = theta;
  const step = typeof noiseStep === 'number' ? noiseStep : subject.map((pair) => noiseStep[pair]);
  const out = new Float32Array(count * elements);
  fillNormal(out, { seed, stream: STREAMS.theta, draw: 0, step, subject }, elements);
  for (let i = 0, at = 0; i < count; i++) {
    const sign = pairs > 0 && first + i >= pairs ? -1 : 1;
    for (let j = 0; j < elements; j++, at++) {
      out[at] = mean[j] + Math.fround(Math.fround(sign * sigma[j]) * out[at]);
    }
  }
  return out;
}
