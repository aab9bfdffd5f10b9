import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  evaluateTraced,
  expectClose,
  expectSameAsEager,
  type Fn,
  floats,
  generator,
  given,
  type Input,
  ints,
  tracedValues,
} from './compare.js';
import { expectSecondDerivatives, gradientsOf } from './second-order.js';

// Pooling and grey-scale dilation: eager tfjs cpu against trace and reference evaluation, over many random geometries.

beforeAll(async () => {
  await tf.setBackend('cpu');
});

type Explicit = [[0, 0], [number, number], [number, number], [0, 0]];

/** A 2-D pooling geometry whose windows all meet the image. */
function geometry(seed: number) {
  const next = generator(seed + 99);
  const pick = (low: number, high: number) => low + Math.floor((high - low + 1) * next());
  const kernel: [number, number] = [pick(1, 4), pick(1, 3)];
  const strides: [number, number] = [pick(1, 3), pick(1, 3)];
  const size = kernel.map((k) => k + pick(0, 6));
  const less = (k: number) => Math.min(k - 1, pick(0, 2));
  const explicit: Explicit = [
    [0, 0],
    [less(kernel[0]), less(kernel[0])],
    [less(kernel[1]), less(kernel[1])],
    [0, 0],
  ];
  const pad = (['same', 'valid', explicit] as const)[pick(0, 2)];
  return { kernel, strides, pad, shape: [pick(1, 3), ...size, pick(1, 4)] };
}

/** 0 .. n-1 in random order: differences of at least 1 / n between any two. */
function shuffled(shape: number[], seed = 5): Input {
  const next = generator(seed);
  const n = shape.reduce((a, b) => a * b, 1);
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return given(
    order.map((v) => (2 * v) / n - 1),
    shape,
  );
}

function seeds(count: number, check: (seed: number) => void): void {
  for (let seed = 0; seed < count; seed++) {
    try {
      check(seed);
    } catch (error) {
      throw new Error(`geometry ${seed} (${JSON.stringify(geometry(seed))}): ${(error as Error).message}`);
    }
  }
}

describe('maxPool', () => {
  test('of random geometries, and gradients', () => {
    seeds(60, (seed) => {
      const { kernel, strides, pad, shape } = geometry(seed);
      const fn: Fn = (x) => tf.maxPool(x, kernel, strides, pad);
      expectSameAsEager(fn, [floats(shape)]);
      expectSameAsEager(gradientsOf(fn), [floats(shape)]);
    });
  });
  test('where a maximum occurs twice the gradient goes to the first', () => {
    const fn: Fn = (x) => tf.maxPool(x, [2, 3], 1, 'same');
    const few = { ...floats([2, 6, 7, 3]), values: Float32Array.from(ints([252], 0, 3).values) };
    expectSameAsEager(gradientsOf(fn), [few]);
  });
  test('with the rounding modes', () => {
    for (const mode of ['floor', 'round', 'ceil'] as const) {
      for (const size of [5, 6, 7, 8]) {
        expectSameAsEager((x) => tf.maxPool(x, 2, 3, 1, mode), [floats([1, size, size, 2])]);
      }
    }
  });
  test('of int32, exactly', () => {
    seeds(20, (seed) => {
      const { kernel, strides, pad, shape } = geometry(seed);
      expectSameAsEager(
        (x) => tf.maxPool(x, kernel, strides, pad),
        [ints(shape, -(2 ** 31), 2 ** 31 - 1)],
        0,
      );
    });
  });
  test('NaN makes a window NaN, and gets its gradient', () => {
    const x = given([1, 2, 3, 4, Number.NaN, 6, 7, 8, 9, 1, 1, 1], [1, 3, 4, 1]);
    expectClose(
      tracedValues((v) => tf.maxPool(v, 2, 2, 'same'), [x]),
      [Number.NaN, 8, 1, 1].map((v, i) => (i === 2 ? 9 : v)),
    );
    const gradient = evaluateTraced(
      gradientsOf((v) => tf.maxPool(v, [3, 4], 1, 'valid')),
      [x],
    );
    expectClose(gradient.results['0'].values, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
  });
  test('over one element that leaves the shape changes nothing, also with strides into padding', () => {
    for (const pool of [tf.maxPool, tf.avgPool]) {
      for (const [stride, pad] of [
        [1, 0],
        [2, 1],
      ]) {
        const fn: Fn = (x) => pool(x, 1, stride, pad);
        expectSameAsEager(fn, [floats([1, 2, 2, 3])]);
        const weights = Array.from({ length: 12 }, (_, i) => Math.cos(i));
        expectClose(evaluateTraced(gradientsOf(fn), [floats([1, 2, 2, 3])]).results['0'].values, weights);
        expectSecondDerivatives((x) => tf.sin(fn(x) as tf.Tensor), [floats([1, 2, 2, 3], -1, 1)]);
      }
    }
  });
  test('of nothing', () => {
    expectSameAsEager((x) => tf.maxPool(x, 2, 1, 'valid'), [floats([0, 3, 3, 2])]);
  });
});

describe('maxPoolWithArgmax', () => {
  test('of random geometries, with and without the batch', () => {
    seeds(40, (seed) => {
      const { kernel, strides, pad, shape } = geometry(seed);
      const fn: Fn = (x) => {
        const { result, indexes } = tf.maxPoolWithArgmax(x, kernel, strides, pad as 'same', seed % 2 === 0);
        return [result, indexes];
      };
      expectSameAsEager(fn, [floats(shape)]);
      const few = { ...floats(shape), values: Float32Array.from(floats(shape).values, (v) => Math.round(v)) };
      expectSameAsEager(fn, [few]);
    });
  });
  test('a window of minus infinities has its maximum at its first element inside', () => {
    const x = given(new Array(6).fill(-Infinity), [1, 2, 3, 1]);
    const fn: Fn = (v) =>
      tf.maxPoolWithArgmax(v, 2, 1, [
        [0, 0],
        [1, 0],
        [1, 0],
        [0, 0],
      ] as never).indexes;
    expectClose(tracedValues(fn, [x]), [0, 0, 1, 0, 0, 1]);
  });
});

describe('avgPool', () => {
  test('of random geometries', () => {
    seeds(60, (seed) => {
      const { kernel, strides, pad, shape } = geometry(seed);
      expectSameAsEager((x) => tf.avgPool(x, kernel, strides, pad), [floats(shape)]);
    });
  });
  test('gradients where no window reaches into the padding', () => {
    seeds(40, (seed) => {
      const { kernel, strides, shape } = geometry(seed);
      expectSameAsEager(
        gradientsOf((x) => tf.avgPool(x, kernel, strides, 'valid')),
        [floats(shape)],
      );
    });
  });
  test('gradients of padded windows count what lies inside only, which tfjs gets wrong', () => {
    seeds(40, (seed) => {
      const { kernel, strides, pad, shape } = geometry(seed);
      // Linear: the gradient of sum w y is the transpose; compare with y of the unit images.
      const y: Fn = (x) => tf.avgPool(x, kernel, strides, pad);
      const one = [1, ...shape.slice(1, 3), 1];
      const n = one[1] * one[2];
      const { results } = evaluateTraced(gradientsOf(y), [floats(one)]);
      const gradient = results['0'].values;
      for (const at of [0, n - 1, Math.floor(n / 2)]) {
        const unit = given(
          Array.from({ length: n }, (_, i) => +(i === at)),
          one,
        );
        const response = tracedValues(y, [unit]);
        const wanted = response.reduce((sum, v, i) => sum + v * Math.cos(i), 0);
        expectClose([gradient[at]], [wanted]);
      }
    });
  });
  test('with the rounding modes', () => {
    for (const mode of ['floor', 'round', 'ceil'] as const) {
      for (const size of [5, 6, 7, 8]) {
        expectSameAsEager((x) => tf.avgPool(x, 2, 3, 1, mode), [floats([1, size, size, 2])]);
      }
    }
  });
});

describe('pooling of volumes', () => {
  const geometries = Array.from({ length: 20 }, (_, seed) => {
    const next = generator(seed + 7);
    const pick = (low: number, high: number) => low + Math.floor((high - low + 1) * next());
    const kernel = [pick(1, 3), pick(1, 3), pick(1, 2)] as [number, number, number];
    const strides = [pick(1, 2), pick(1, 3), pick(1, 2)] as [number, number, number];
    const shape = [pick(1, 2), ...kernel.map((k) => k + pick(0, 3)), pick(1, 3)];
    return { kernel, strides, shape, pad: (['same', 'valid'] as const)[pick(0, 1)] };
  });
  test('maxPool3d and gradients', () => {
    for (const { kernel, strides, shape, pad } of geometries) {
      const fn: Fn = (x) => tf.maxPool3d(x, kernel, strides, pad);
      expectSameAsEager(fn, [floats(shape)]);
      // tfjs numbers positions wrongly unless height and width of the window agree.
      if (kernel[1] === kernel[2]) expectSameAsEager(gradientsOf(fn), [floats(shape)]);
    }
    expectSameAsEager((x) => tf.maxPool3d(x, 2, 1, 1, 'floor'), [floats([1, 3, 3, 3, 2])]);
  });
  test('where a maximum occurs twice the gradient goes to the last', () => {
    const few = { ...floats([1, 4, 5, 4, 2]), values: Float32Array.from(ints([160], 0, 2).values) };
    expectSameAsEager(
      gradientsOf((x) => tf.maxPool3d(x, 2, [1, 2, 1], 'same')),
      [few],
    );
  });
  test('avgPool3d, and gradients without padding', () => {
    for (const { kernel, strides, shape, pad } of geometries) {
      expectSameAsEager((x) => tf.avgPool3d(x, kernel, strides, pad), [floats(shape)]);
      expectSameAsEager(
        gradientsOf((x) => tf.avgPool3d(x, kernel, strides, 'valid')),
        [floats(shape)],
      );
    }
    expectSameAsEager((x) => tf.avgPool3d(x, 2, 1, 1, 'floor'), [floats([1, 3, 3, 3, 2])]);
  });
});

describe('tf.pool', () => {
  test('dilated and not', () => {
    for (const kind of ['avg', 'max'] as const) {
      for (const [pad, dilations, strides] of [
        ['same', 1, 2],
        ['valid', 1, 1],
        ['valid', 2, 1],
        ['same', 2, 1],
        ['same', [2, 3], 1],
      ] as const) {
        const fn: Fn = (x) => tf.pool(x, [2, 3], kind, pad, dilations as never, strides);
        expectSameAsEager(fn, [floats([2, 9, 8, 3])]);
      }
    }
  });
});

describe('dilation2d', () => {
  test('of random geometries, and both gradients', () => {
    seeds(50, (seed) => {
      const { kernel, strides, pad, shape } = geometry(seed);
      const rates: [number, number] = seed % 3 === 0 && pad === 'valid' ? [2, 1] : [1, 1];
      const size = shape.map((d, i) => (i === 1 && rates[0] > 1 ? d + kernel[0] : d));
      const steps = rates[0] > 1 ? 1 : strides;
      const fn: Fn = (x, filter) => tf.dilation2d(x, filter, steps, pad === 'valid' ? pad : 'same', rates);
      const inputs = [floats(size), floats([...kernel, shape[3]])];
      expectSameAsEager(fn, inputs);
      expectSameAsEager(gradientsOf(fn), inputs, 1e-5);
    });
  });
  test('of int32', () => {
    expectSameAsEager((x, f) => tf.dilation2d(x, f, 1, 'same'), [ints([1, 4, 5, 2]), ints([2, 3, 2])]);
  });
  test('of one image', () => {
    expectSameAsEager((x, f) => tf.dilation2d(x, f, 2, 'same'), [floats([4, 5, 2]), floats([2, 3, 2])]);
  });
});

describe('second derivatives against differences of the first', () => {
  const image = shuffled([2, 5, 4, 2]);
  const volume = shuffled([1, 4, 3, 3, 2]);
  // Values are at least 1/40 apart, so that steps of 2^-8 change no maximum.
  const options = { step: 2 ** -8 };
  const cases: Record<string, [Fn, Input]> = {
    maxPool: [(x) => tf.maxPool(x, 2, 2, 'same'), image],
    'overlapping maxPool': [(x) => tf.maxPool(x, 3, 1, 'same'), image],
    'maxPool rounded up': [(x) => tf.maxPool(x, 2, 3, 1, 'ceil'), image],
    maxPool3d: [(x) => tf.maxPool3d(x, 2, 1, 'same'), volume],
    'maxPool3d of a window longer in one axis': [(x) => tf.maxPool3d(x, [1, 3, 2], 1, 'valid'), volume],
    avgPool: [(x) => tf.avgPool(x, 2, 2, 'same'), image],
    'avgPool, padded': [(x) => tf.avgPool(x, 3, 2, 'same'), image],
    'avgPool rounded up': [(x) => tf.avgPool(x, 2, 3, 1, 'ceil'), image],
    avgPool3d: [(x) => tf.avgPool3d(x, 2, 1, 'same'), volume],
  };
  for (const [name, [fn, input]] of Object.entries(cases)) {
    test(name, () => expectSecondDerivatives((x) => tf.sin(fn(x) as tf.Tensor), [input], options));
  }
  test('dilation2d', () => {
    const filter = given([0, 1.013, -1.011, 2.007, 0.507, -0.493, 1.5, -2.01], [2, 2, 2]);
    expectSecondDerivatives((x, f) => tf.sin(tf.dilation2d(x, f, 1, 'same')), [image, filter], {
      step: 2 ** -10,
      tolerance: 1e-2,
    });
  });
  test('the third derivative of maxPool and avgPool', () => {
    // y^4 through the maximum: the third derivative along the direction of ones is 24 y at the maximum of each window.
    const grad =
      (f: (x: tf.Tensor) => tf.Tensor) =>
      (x: tf.Tensor): tf.Tensor =>
        tf.grad((v) => tf.sum(f(v)))(x);
    const x = given([0.5, -1, 0.25, 1.5], [1, 2, 2, 1]);
    const powers = (pool: Fn) => (v: tf.Tensor) => tf.pow(pool(v) as tf.Tensor, 4);
    const third = (pool: Fn) => tracedValues((v) => grad(grad(grad(powers(pool))))(v), [x]);
    expectClose(
      third((v) => tf.maxPool(v, 2, 2, 'valid')),
      [0, 0, 0, 24 * 1.5],
    );
    const mean = (0.5 - 1 + 0.25 + 1.5) / 4;
    // Each further sum over x of a gradient multiplies by 4 * 1/4.
    expectClose(
      third((v) => tf.avgPool(v, 2, 2, 'valid')),
      new Array(4).fill((24 * mean) / 4),
    );
    expect(
      third((v) => tf.maxPool3d(tf.reshape(v, [1, 1, 2, 2, 1]) as tf.Tensor5D, [1, 2, 2], 1, 'valid'))[3],
    ).toBeCloseTo(36, 4);
  });
});
