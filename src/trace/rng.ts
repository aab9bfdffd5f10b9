/** The random draws of a traced function: nodes of the graph instead of numbers. */
import type * as tf from '@tensorflow/tfjs';
import { OptionError, TraceError } from '../errors.js';
import type { DType, RandomKind, Shape, Share } from '../graph/graph.js';
import { checkChoice, checkKeys } from '../options.js';
import { describe, MAX_DRAW } from '../random/philox.js';
import { activeTrace } from './active.js';
import { callSite } from './frames.js';
import type { Recorder } from './recorder.js';

export interface DrawOptions {
  /** Who gets the same numbers: all particles, the two members of an antithetic pair, or nobody. Default 'all'. */
  readonly share?: Share;
}

/**
 * Random tensors, fresh at every step of every run and the same on every device: counter-based Philox4x32-10 words (see
 * random/philox.ts), keyed by the run's seed. Draws are numbered in the order in which the function makes them, so a
 * function must always make the same draws. All methods throw OptionError on a malformed argument.
 */
export interface Rng {
  /** float32 N(0, 1) */
  normal(shape: Shape, options?: DrawOptions): tf.Tensor;
  /** float32 in [low, high), by default [0, 1) */
  uniform(shape: Shape, low?: number, high?: number, options?: DrawOptions): tf.Tensor;
  /** int32 in [low, high): at most 2^32 - 1 different values */
  integers(shape: Shape, low: number, high: number, options?: DrawOptions): tf.Tensor;
  /** bool, true with probability p */
  bernoulli(shape: Shape, p: number, options?: DrawOptions): tf.Tensor;
}

const SHARES = ['all', 'pair', 'particle'] as const;

function checkDrawShape(value: unknown, method: string): Shape {
  const valid = Array.isArray(value) && value.every((d) => Number.isInteger(d) && d >= 0);
  if (!valid) {
    throw new OptionError(`rng.${method}: shape must be an array of integers >= 0, got ${describe(value)}`);
  }
  return value as Shape;
}

function checkShare(options: unknown, method: string): Share {
  if (options === undefined) return 'all';
  checkKeys(options, ['share'], `rng.${method}`);
  const { share } = options as DrawOptions;
  return share === undefined ? 'all' : checkChoice(share, `rng.${method}: share`, SHARES);
}

function checkFinite(value: unknown, name: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new OptionError(`${name} must be a finite number, got ${describe(value)}`);
  }
  return value;
}

function checkInt32(value: unknown, name: string): number {
  if (!Number.isInteger(value) || (value as number) < -(2 ** 31) || (value as number) > 2 ** 31) {
    throw new OptionError(`${name} must be an integer in -2^31..2^31, got ${describe(value)}`);
  }
  return value as number;
}

/**
 * Runs `f` with the draws numbered from `first` on, as they were when it ran before: evaluated again for its derivative, a function makes the
 * same draws. The numbering afterwards goes on where it was.
 */
export function drawAgain<T>(recorder: Recorder, first: number, f: () => T): T {
  const { draws } = recorder;
  recorder.draws = first;
  try {
    return f();
  } finally {
    recorder.draws = Math.max(draws, recorder.draws);
  }
}

/** The rng of one trace. */
export function tracedRng(recorder: Recorder): Rng {
  const draw = (kind: RandomKind, shape: unknown, options: unknown, dtype: DType): tf.Tensor => {
    const method = kind.distribution;
    const checked = checkDrawShape(shape, method);
    const share = checkShare(options, method);
    const active = activeTrace();
    if (active && active !== recorder) {
      throw new TraceError(
        'rng',
        'rng inside a function that is traced by itself (vmap): draw before, and pass the numbers in as an argument',
        callSite().frame,
      );
    }
    if (recorder.draws > MAX_DRAW) throw new OptionError(`a function can make at most ${MAX_DRAW + 1} draws`);
    const op = { name: 'random', kind, share, draw: recorder.draws++ } as const;
    return recorder.tensor(recorder.emitter.builder.add(op, [], { shape: checked, dtype }));
  };
  return {
    normal: (shape, options) => draw({ distribution: 'normal' }, shape, options, 'float32'),
    uniform: (shape, low = 0, high = 1, options = undefined) => {
      checkFinite(low, 'rng.uniform: low');
      checkFinite(high, 'rng.uniform: high');
      if (!(Math.fround(low) < Math.fround(high))) {
        throw new OptionError(`rng.uniform: low must be below high (as float32), got ${low} and ${high}`);
      }
      return draw({ distribution: 'uniform', low, high }, shape, options, 'float32');
    },
    integers: (shape, low, high, options) => {
      checkInt32(low, 'rng.integers: low');
      checkInt32(high, 'rng.integers: high');
      if (low >= high || high - low > 0xffffffff || low > 0x7fffffff) {
        throw new OptionError(
          `rng.integers: low must be below high, at most 2^32 - 1 apart, got ${low} and ${high}`,
        );
      }
      return draw({ distribution: 'integers', low, high }, shape, options, 'int32');
    },
    bernoulli: (shape, p, options) => {
      if (!(checkFinite(p, 'rng.bernoulli: p') >= 0 && p <= 1)) {
        throw new OptionError(`rng.bernoulli: p must be in [0, 1], got ${p}`);
      }
      return draw({ distribution: 'bernoulli', p }, shape, options, 'bool');
    },
  };
}
