/**
 * A small program in raw words for tests of the addon by itself, and the same computation by its definition.
 *
 * State x (float) and seen (bool). init: x = theta[0], seen = 3 (true). step: x = x * theta[1] + t + r, r uniform in [0, 1) (stream 0,
 * draw 5); loss = x; one metric, theta[0] + data[0].
 */
import { fillUniform } from '../../../src/random/distributions.js';

export const MAGIC = 0x4c524e55;
const V = 0;
const C = 2;
const D = 3;
const S = 4;
const MICRO = { intToFloat: 122, add: 60, mul: 62 } as const;

/** out = micro(inputs), one element each, varying. */
function scalar(
  micro: number,
  inputs: readonly (readonly [number, number])[],
  out: readonly [number, number],
): number[] {
  const n = inputs.length;
  const payload = [1, 0, n, ...inputs.flat(), 1, n, ...out, n + 1, 1, micro, n, 0, n > 1 ? 1 : 0, 0, 0, 0];
  return [1, payload.length + 2, ...payload];
}

export interface RawProgram {
  readonly words: Int32Array;
  readonly constants: Int32Array;
  readonly data: readonly Float32Array[];
  readonly leaves: Int32Array;
}

export interface RawOptions {
  readonly lanes?: number;
  readonly horizon?: number;
  /** 1: the draw is shared by a pair, 2: one for each particle */
  readonly share?: 1 | 2;
}

/** `lanes` default 16, `horizon` default 0 (endless), `share` default 2. */
export function rawProgram({ lanes = 16, horizon = 0, share = 2 }: RawOptions = {}): RawProgram {
  const random = [1, 1, share, 0, 5, 1, 0, 0x3f800000, V, 4];
  const blocks = [
    [],
    scalar(
      MICRO.add,
      [
        [V, 0],
        [D, 0],
      ],
      [V, 5],
    ),
    [
      ...[10, random.length + 2, ...random],
      ...scalar(MICRO.intToFloat, [[V, 2]], [V, 3]),
      ...scalar(
        MICRO.mul,
        [
          [S, 0],
          [V, 1],
        ],
        [S, 0],
      ),
      ...scalar(
        MICRO.add,
        [
          [S, 0],
          [V, 3],
        ],
        [S, 0],
      ),
      ...scalar(
        MICRO.add,
        [
          [S, 0],
          [V, 4],
        ],
        [S, 0],
      ),
    ],
    [11, 7, 0, V, 0, S, 0, 11, 7, 0, C, 0, S, 1],
  ];
  const header = [MAGIC, 1, lanes, 6, 0, 1, 1, 2, 2, 0, 2, -1, S, 0, 1, horizon];
  let at = 26;
  for (const block of blocks) {
    header.push(at, block.length);
    at += block.length;
  }
  return {
    words: Int32Array.from([...header, V, 5, ...blocks.flat()]),
    constants: Int32Array.of(3),
    data: [Float32Array.of(10)],
    leaves: Int32Array.of(0, 1, 0, 1, 1, 1),
  };
}

/** Every step's loss [steps, particles], the particles starting at t = 0, theta [particles, 2]. */
export function expectedLosses(
  particles: number,
  steps: number,
  theta: Float32Array,
  options: {
    readonly seed: number;
    readonly firstStep?: number;
    readonly horizon?: number;
    readonly pairs?: number;
  },
): Float32Array {
  const { seed, firstStep = 0, horizon = 0, pairs = 0 } = options;
  const losses = new Float32Array(steps * particles);
  const draw = new Float32Array(1);
  for (let i = 0; i < particles; i++) {
    let x = theta[2 * i];
    for (let k = 0, t = 0; k < steps; k++) {
      if (t === 0) x = theta[2 * i];
      fillUniform(draw, { seed, stream: 0, draw: 5, step: firstStep + k, subject: pairs ? i % pairs : i });
      x = Math.fround(Math.fround(Math.fround(x * theta[2 * i + 1]) + t) + draw[0]);
      losses[k * particles + i] = x;
      t = horizon > 0 && t + 1 === horizon ? 0 : t + 1;
    }
  }
  return losses;
}
