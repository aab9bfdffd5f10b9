import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { evaluateTraced, expectSameAsEager, type Fn, floats, generator, ints } from './compare.js';
import { expectSecondDerivatives, gradientsOf } from './second-order.js';

// Convolutions: eager tfjs cpu against trace and reference evaluation, over many random geometries.

beforeAll(async () => {
  await tf.setBackend('cpu');
});

type Pad = 'same' | 'valid' | number | [[0, 0], [number, number], [number, number], [0, 0]];

const whole = (next: () => number, low: number, high: number) => low + Math.floor((high - low + 1) * next());

/** A 2-D geometry whose output is not empty: strides, or dilations, or neither. */
function geometry(seed: number) {
  const next = generator(seed);
  const pick = (low: number, high: number) => whole(next, low, high);
  const kernel: [number, number] = [pick(1, 3), pick(1, 4)];
  const dilated = pick(0, 3) === 0;
  const dilations: [number, number] = dilated ? [pick(1, 2), pick(1, 3)] : [1, 1];
  const strides: [number, number] = dilated ? [1, 1] : [pick(1, 3), pick(1, 3)];
  const effective = kernel.map((k, i) => k + (k - 1) * (dilations[i] - 1));
  const size = effective.map((k) => k + pick(0, 5));
  const explicit: Pad = [
    [0, 0],
    [pick(0, 2), pick(0, 3)],
    [pick(0, 2), pick(0, 2)],
    [0, 0],
  ];
  const pads: Pad[] = ['same', 'valid', pick(1, 2), explicit];
  const pad = pads[pick(0, 3)];
  return {
    kernel,
    dilations,
    strides,
    size,
    pad,
    batch: pick(1, 3),
    channels: pick(1, 4),
    filters: pick(1, 5),
  };
}

/** Several seeds in one test, each named in what fails. */
function seeds(count: number, check: (seed: number) => void): void {
  for (let seed = 0; seed < count; seed++) {
    try {
      check(seed);
    } catch (error) {
      throw new Error(`geometry ${seed} (${JSON.stringify(geometry(seed))}): ${(error as Error).message}`);
    }
  }
}

describe('conv2d', () => {
  test('of random geometries', () => {
    seeds(60, (seed) => {
      const g = geometry(seed);
      const fn: Fn = (x, w) => tf.conv2d(x, w, g.strides, g.pad, 'NHWC', g.dilations);
      const x = floats([g.batch, ...g.size, g.channels]);
      expectSameAsEager(fn, [x, floats([...g.kernel, g.channels, g.filters])], 1e-5);
    });
  });
  test('and their gradients', () => {
    seeds(60, (seed) => {
      const g = geometry(seed);
      if (g.dilations.some((d) => d > 1)) return;
      const fn = gradientsOf((x, w) => tf.conv2d(x, w, g.strides, g.pad));
      const x = floats([g.batch, ...g.size, g.channels]);
      expectSameAsEager(fn, [x, floats([...g.kernel, g.channels, g.filters])], 1e-5);
    });
  });
  test('channels first', () => {
    seeds(12, (seed) => {
      const g = geometry(seed);
      if (typeof g.pad === 'object') g.pad = 'same';
      const plain = g.dilations.every((d) => d === 1);
      const fn: Fn = (x, w) => tf.conv2d(x, w, g.strides, g.pad, 'NCHW', g.dilations);
      const inputs = [floats([g.batch, g.channels, ...g.size]), floats([...g.kernel, g.channels, g.filters])];
      expectSameAsEager(fn, inputs, 1e-5);
      if (plain) expectSameAsEager(gradientsOf(fn), inputs, 1e-5);
    });
    const explicit: [[0, 0], [0, 0], [number, number], [number, number]] = [
      [0, 0],
      [0, 0],
      [1, 2],
      [0, 3],
    ];
    const fn: Fn = (x, w) => tf.conv2d(x, w, 2, explicit as never, 'NCHW');
    expectSameAsEager(fn, [floats([2, 3, 5, 6]), floats([3, 2, 3, 4])], 1e-5);
  });
  test('with the rounding modes', () => {
    for (const mode of ['floor', 'round', 'ceil'] as const) {
      for (const pad of [0, 1, 2]) {
        for (const size of [5, 6, 7, 8]) {
          const fn: Fn = (x, w) => tf.conv2d(x, w, 3, pad, 'NHWC', 1, mode);
          expectSameAsEager(fn, [floats([1, size, size, 2]), floats([2, 2, 2, 3])], 1e-5);
        }
      }
    }
  });
  test('of one image without a batch axis, of nothing, and of no filters', () => {
    const fn: Fn = (x, w) => tf.conv2d(x, w, 1, 'same');
    expectSameAsEager(fn, [floats([5, 4, 2]), floats([3, 3, 2, 3])], 1e-5);
    expectSameAsEager(fn, [floats([0, 5, 4, 2]), floats([3, 3, 2, 3])]);
    expectSameAsEager(gradientsOf(fn), [floats([0, 5, 4, 2]), floats([3, 3, 2, 3])]);
    expectSameAsEager(fn, [floats([2, 5, 4, 2]), floats([3, 3, 2, 0])]);
    expectSameAsEager((x, w) => tf.conv2d(x, w, 2, 'valid'), [floats([2, 2, 4, 2]), floats([3, 3, 2, 3])]);
  });
  test('a window of one element, or of the whole image, is a matrix product', () => {
    const names = (fn: Fn, x: number[], w: number[]) =>
      evaluateTraced(fn, [floats(x), floats(w)]).traced.graph.nodes.map(({ op }) => op.name);
    const pointwise: Fn = (x, w) => tf.conv2d(x, w, 1, 'same');
    const dense: Fn = (x, w) => tf.conv2d(x, w, 1, 'valid');
    for (const fn of [pointwise, gradientsOf(pointwise)]) {
      const ops = names(fn, [2, 4, 5, 3], [1, 1, 3, 6]);
      expect(ops).toContain('matMul');
      expect(ops.filter((name) => name.startsWith('conv'))).toEqual([]);
      expectSameAsEager(fn, [floats([2, 4, 5, 3]), floats([1, 1, 3, 6])], 1e-5);
    }
    for (const fn of [dense, gradientsOf(dense)]) {
      expect(names(fn, [2, 4, 5, 3], [4, 5, 3, 6]).filter((name) => name.startsWith('conv'))).toEqual([]);
      expectSameAsEager(fn, [floats([2, 4, 5, 3]), floats([4, 5, 3, 6])], 1e-5);
    }
    expect(names(pointwise, [2, 4, 5, 3], [2, 1, 3, 6])).toContain('conv');
    expect(names((x, w) => tf.conv2d(x, w, 2, 'same'), [2, 4, 5, 3], [1, 1, 3, 6])).toContain('conv');
  });
});

describe('depthwise', () => {
  test('of random geometries, and gradients', () => {
    seeds(40, (seed) => {
      const g = geometry(seed);
      const fn: Fn = (x, w) => tf.depthwiseConv2d(x, w, g.strides, g.pad, 'NHWC', g.dilations);
      const inputs = [
        floats([g.batch, ...g.size, g.channels]),
        floats([...g.kernel, g.channels, 1 + (seed % 3)]),
      ];
      expectSameAsEager(fn, inputs, 1e-5);
      if (g.dilations.every((d) => d === 1)) expectSameAsEager(gradientsOf(fn), inputs, 1e-5);
    });
  });
  test('channels first is channels last transposed', () => {
    const last: Fn = (x, w) =>
      tf.transpose(tf.depthwiseConv2d(tf.transpose(x, [0, 2, 3, 1]), w, 2, 'same'), [0, 3, 1, 2]);
    const first: Fn = (x, w) => tf.depthwiseConv2d(x, w, 2, 'same', 'NCHW');
    const inputs = [floats([2, 3, 5, 6]), floats([3, 2, 3, 2])];
    for (const wrap of [(f: Fn) => f, gradientsOf]) {
      const [a, b] = [first, last].map((f) => evaluateTraced(wrap(f), inputs).results);
      expect(a).toEqual(b);
    }
  });
  test('separable, with strides and dilations', () => {
    const x = floats([2, 7, 6, 3]);
    const inputs = [x, floats([3, 2, 3, 2]), floats([1, 1, 6, 4])];
    for (const [strides, dilation] of [
      [1, 1],
      [2, 1],
      [1, 2],
    ]) {
      const fn: Fn = (v, d, p) => tf.separableConv2d(v, d, p, strides, 'same', dilation);
      expectSameAsEager(fn, inputs, 1e-5);
      if (dilation === 1) expectSameAsEager(gradientsOf(fn), inputs, 1e-5);
    }
  });
});

describe('conv1d', () => {
  test('with strides, dilations and every pad', () => {
    for (const [stride, dilation, pad] of [
      [1, 1, 'same'],
      [2, 1, 'valid'],
      [3, 1, 'same'],
      [1, 3, 'same'],
    ] as const) {
      const fn: Fn = (x, w) => tf.conv1d(x, w, stride, pad, 'NWC', dilation);
      const inputs = [floats([2, 9, 3]), floats([3, 3, 4])];
      expectSameAsEager(fn, inputs, 1e-5);
      if (dilation === 1) expectSameAsEager(gradientsOf(fn), inputs, 1e-5);
    }
  });
});

describe('transposed', () => {
  test('conv2dTranspose and its gradients', () => {
    for (const [stride, pad, size] of [
      [1, 'same', 4],
      [2, 'same', 8],
      [2, 'same', 7],
      [3, 'valid', 12],
      [2, 1, 7],
    ] as const) {
      const fn: Fn = (x, w) => tf.conv2dTranspose(x, w, [2, size, size, 3], stride, pad);
      const inputs = [floats([2, 4, 4, 5]), floats([3, 3, 3, 5])];
      expectSameAsEager(fn, inputs, 1e-5);
      expectSameAsEager(gradientsOf(fn), inputs, 1e-5);
    }
  });
  test('drops what lies beyond the windows of the output shape, as tfjs does', () => {
    const fn: Fn = (x, w) => tf.conv2dTranspose(x, w, [1, 4, 4, 2], 1, 'same');
    expectSameAsEager(fn, [floats([1, 8, 7, 3]), floats([3, 3, 2, 3])], 1e-5);
  });
  test('conv3dTranspose', () => {
    const inputs = [floats([1, 2, 3, 2, 4]), floats([2, 3, 2, 2, 4])];
    expectSameAsEager((x, w) => tf.conv3dTranspose(x, w, [1, 4, 6, 3, 2], 2, 'same'), inputs, 1e-5);
    expectSameAsEager((x, w) => tf.conv3dTranspose(x, w, [1, 3, 5, 3, 2], 1, 'valid'), inputs, 1e-5);
  });
});

describe('conv3d', () => {
  test('of random geometries, and gradients', () => {
    for (let seed = 0; seed < 24; seed++) {
      const next = generator(seed + 500);
      const pick = (low: number, high: number) => whole(next, low, high);
      const kernel = [pick(1, 3), pick(1, 2), pick(1, 3)];
      const dilated = pick(0, 3) === 0;
      const dilations = [pick(1, 2), pick(1, 2), pick(1, 2)].map((d) => (dilated ? d : 1)) as [
        number,
        number,
        number,
      ];
      const strides = [pick(1, 2), pick(1, 3), pick(1, 2)].map((s) => (dilated ? 1 : s)) as [
        number,
        number,
        number,
      ];
      const size = kernel.map((k, i) => k + (k - 1) * (dilations[i] - 1) + pick(0, 3));
      const pad = (['same', 'valid'] as const)[pick(0, 1)];
      const channels = pick(1, 3);
      const fn: Fn = (x, w) => tf.conv3d(x, w, strides, pad, 'NDHWC', dilations);
      const inputs = [floats([pick(1, 2), ...size, channels]), floats([...kernel, channels, pick(1, 4)])];
      expectSameAsEager(fn, inputs, 1e-5);
      if (dilations.every((d) => d === 1)) expectSameAsEager(gradientsOf(fn), inputs, 1e-5);
    }
  });
  test('of int32', () => {
    const inputs = [ints([1, 3, 3, 3, 2]), ints([2, 2, 2, 2, 3])];
    expectSameAsEager((x, w) => tf.conv3d(x, w, 1, 'same'), inputs);
  });
});

describe('fused', () => {
  const activations = ['linear', 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu'] as const;
  const x = floats([2, 5, 6, 3]);
  const filter = floats([3, 2, 3, 4]);
  const depthwise = floats([3, 2, 3, 2]);
  for (const activation of activations) {
    test(`conv2d and depthwiseConv2d, ${activation}`, () => {
      const options = { strides: 2, pad: 'same', activation, leakyreluAlpha: 0.3 } as const;
      expectSameAsEager(
        (v, w, bias) => tf.fused.conv2d({ x: v, filter: w, bias, ...options }),
        [x, filter, floats([4])],
        1e-5,
      );
      expectSameAsEager((v, w) => tf.fused.conv2d({ x: v, filter: w, ...options }), [x, filter], 1e-5);
      expectSameAsEager(
        (v, w, bias) => tf.fused.depthwiseConv2d({ x: v, filter: w, bias, ...options }),
        [x, depthwise, floats([6])],
        1e-5,
      );
    });
    test(`gradients, ${activation}`, () => {
      const options = { strides: 1, pad: 'same', activation, leakyreluAlpha: 0.3 } as const;
      const fn: Fn = (v, w, bias) => tf.fused.conv2d({ x: v, filter: w, bias, ...options });
      expectSameAsEager(gradientsOf(fn), [x, filter, floats([4])], 1e-5);
      const deep: Fn = (v, w, bias) => tf.fused.depthwiseConv2d({ x: v, filter: w, bias, ...options });
      expectSameAsEager(gradientsOf(deep), [x, depthwise, floats([6])], 1e-5);
    });
  }
  test('prelu with weights for each channel', () => {
    const options = { strides: 1, pad: 'valid', activation: 'prelu' } as const;
    expectSameAsEager(
      (v, w, bias, preluActivationWeights) =>
        tf.fused.conv2d({ x: v, filter: w, bias, preluActivationWeights, ...options }),
      [x, filter, floats([4]), floats([4], 0, 1)],
      1e-5,
    );
    expectSameAsEager(
      (v, w, preluActivationWeights) =>
        tf.fused.depthwiseConv2d({ x: v, filter: w, preluActivationWeights, ...options }),
      [x, depthwise, floats([6], 0, 1)],
      1e-5,
    );
  });
  test('channels first: bias and prelu weights lie along the channels', () => {
    expectSameAsEager(
      (v, w, bias, preluActivationWeights) =>
        tf.fused.conv2d({
          x: v,
          filter: w,
          bias,
          preluActivationWeights,
          strides: 1,
          pad: 'same',
          dataFormat: 'NCHW',
          activation: 'prelu',
        }),
      [floats([2, 3, 5, 6]), filter, floats([4]), floats([4], 0, 1)],
      1e-5,
    );
  });
});

describe('second derivatives against differences of the first', () => {
  const smooth =
    (fn: Fn): Fn =>
    (x, w) =>
      tf.sin(fn(x, w) as tf.Tensor);
  const flat = [floats([1, 5, 4, 2], -1, 1), floats([3, 2, 2, 3], -0.5, 0.5)];
  const solid = [floats([1, 3, 4, 3, 2], -1, 1), floats([2, 2, 2, 2, 2], -0.5, 0.5)];
  const cases: Record<string, [Fn, typeof flat]> = {
    conv2d: [(x, w) => tf.conv2d(x, w, 1, 'same'), flat],
    'conv2d with strides': [(x, w) => tf.conv2d(x, w, 2, 1), flat],
    'conv2d rounded up': [(x, w) => tf.conv2d(x, w, 3, 1, 'NHWC', 1, 'ceil'), flat],
    'dilated conv2d, which tfjs refuses': [(x, w) => tf.conv2d(x, w, 1, 'same', 'NHWC', 2), flat],
    'pointwise conv2d': [
      (x, w) => tf.conv2d(x, w, 1, 'same'),
      [floats([2, 3, 2, 2], -1, 1), floats([1, 1, 2, 3], -0.5, 0.5)],
    ],
    'depthwise conv2d': [(x, w) => tf.depthwiseConv2d(x, w, 2, 'same'), flat],
    'dilated depthwise conv2d': [(x, w) => tf.depthwiseConv2d(x, w, 1, 'same', 'NHWC', 2), flat],
    conv2dTranspose: [
      (x, w) => tf.conv2dTranspose(x, w, [1, 9, 7, 3], 2, 'same'),
      [floats([1, 5, 4, 2], -1, 1), floats([3, 2, 3, 2], -0.5, 0.5)],
    ],
    conv3d: [(x, w) => tf.conv3d(x, w, 1, 'same'), solid],
    'conv3d with strides': [(x, w) => tf.conv3d(x, w, 2, 'valid'), solid],
    'fused conv2d': [
      (x, w) => tf.fused.conv2d({ x, filter: w, strides: 1, pad: 'same', activation: 'linear' }),
      flat,
    ],
    'fused depthwise conv2d': [
      (x, w) => tf.fused.depthwiseConv2d({ x, filter: w, strides: 1, pad: 'same', activation: 'sigmoid' }),
      flat,
    ],
  };
  for (const [name, [fn, inputs]] of Object.entries(cases)) {
    test(name, () => expectSecondDerivatives(smooth(fn), inputs));
  }
});
