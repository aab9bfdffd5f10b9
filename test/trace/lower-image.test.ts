import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { evaluateGraph } from '../../src/graph/evaluate.js';
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

// Image kernels, mirrored pads and local response normalisation: eager tfjs cpu against trace and reference evaluation.

beforeAll(async () => {
  await tf.setBackend('cpu');
});

/** The transpose of a linear function of one input, element by element, for weights cos(i) of the outputs. */
function transposed(fn: Fn, shape: number[]): number[] {
  const n = shape.reduce((a, b) => a * b, 1);
  const { graph } = evaluateTraced(fn, [floats(shape)]).traced;
  return Array.from({ length: n }, (_, at) => {
    const unit = Float32Array.from({ length: n }, (_unused, i) => +(i === at));
    const response = Array.from(evaluateGraph(graph, { 'value.x0': unit }).value.values);
    return response.reduce((sum, v, i) => sum + v * Math.cos(i), 0);
  });
}

const gradientValues = (fn: Fn, input: Input) => evaluateTraced(gradientsOf(fn), [input]).results['0'].values;

const SIZES: [number, number][] = [
  [1, 1],
  [4, 6],
  [8, 12],
  [12, 24],
  [2, 3],
  [3, 7],
  [5, 2],
  [9, 1],
  [4, 5],
  [11, 13],
];
const MODES = [
  [false, false],
  [true, false],
  [false, true],
] as const;

describe('resizing', () => {
  for (const [alignCorners, halfPixelCenters] of MODES) {
    const mode = `align corners ${alignCorners}, half pixels ${halfPixelCenters}`;
    test(`bilinear, ${mode}`, () => {
      for (const size of SIZES) {
        for (const shape of [
          [2, 4, 6, 3],
          [1, 5, 3, 1],
          [1, 1, 4, 2],
        ]) {
          const fn: Fn = (x) => tf.image.resizeBilinear(x, size, alignCorners, halfPixelCenters);
          expectSameAsEager(fn, [floats(shape)]);
        }
      }
    });
    test(`nearest neighbour, ${mode}`, () => {
      for (const size of SIZES) {
        const fn: Fn = (x) => tf.image.resizeNearestNeighbor(x, size, alignCorners, halfPixelCenters);
        expectSameAsEager(fn, [floats([2, 4, 6, 3])]);
        expectSameAsEager(fn, [ints([1, 5, 3, 2], -(2 ** 31), 2 ** 31 - 1)], 1e-7);
      }
    });
    test(`gradients are the transposes, ${mode}`, () => {
      for (const size of SIZES) {
        for (const resize of [tf.image.resizeBilinear, tf.image.resizeNearestNeighbor]) {
          const fn: Fn = (x) => resize(x, size, alignCorners, halfPixelCenters);
          expectClose(gradientValues(fn, floats([1, 4, 3, 2])), transposed(fn, [1, 4, 3, 2]));
        }
      }
    });
    if (halfPixelCenters) continue; // tfjs's gradients leave half pixels out
    test(`gradients of square images, ${mode}`, () => {
      for (const size of SIZES) {
        const bilinear: Fn = (x) => tf.image.resizeBilinear(x, size, alignCorners);
        expectSameAsEager(gradientsOf(bilinear), [floats([2, 5, 5, 3])], 1e-5);
        // Of several images tfjs reads the wrong rows.
        const nearest: Fn = (x) => tf.image.resizeNearestNeighbor(x, size, alignCorners);
        expectSameAsEager(gradientsOf(nearest), [floats([1, 5, 5, 3])], 1e-5);
      }
    });
  }
  test('of one image, and of int32 to float32', () => {
    expectSameAsEager((x) => tf.image.resizeBilinear(x, [5, 4]), [floats([3, 2, 2])]);
    expectSameAsEager((x) => tf.image.resizeBilinear(x, [5, 4]), [ints([1, 3, 2, 2])]);
  });
  test('whole factors need no gather and no sum over segments', () => {
    const ops = (fn: Fn, shape: number[]) =>
      evaluateTraced(fn, [floats(shape)]).traced.graph.nodes.map(({ op }) => op.name);
    const larger: Fn = (x) => tf.image.resizeNearestNeighbor(x, [8, 12]);
    const smaller: Fn = (x) => tf.image.resizeBilinear(x, [2, 2]);
    for (const fn of [larger, gradientsOf(larger), smaller]) {
      expect(ops(fn, [1, 4, 6, 3]).filter((name) => name === 'gather' || name === 'segmentSum')).toEqual([]);
    }
  });
});

describe('mirrorPad', () => {
  const paddings: [number, number][][] = [
    [
      [1, 2],
      [0, 3],
    ],
    [
      [0, 0],
      [2, 0],
    ],
    [
      [2, 2],
      [3, 3],
    ],
  ];
  for (const mode of ['reflect', 'symmetric'] as const) {
    test(`${mode}, and its gradient`, () => {
      for (const pads of paddings) {
        const fn: Fn = (x) => tf.mirrorPad(x, pads, mode);
        expectSameAsEager(fn, [floats([3, 4])]);
        expectSameAsEager(fn, [ints([3, 4])]);
        expectClose(gradientValues(fn, floats([3, 4])), transposed(fn, [3, 4]));
      }
      expectSameAsEager(
        (x) =>
          tf.mirrorPad(
            x,
            [
              [0, 0],
              [1, 1],
              [2, 1],
              [0, 0],
            ],
            mode,
          ),
        [floats([2, 3, 4, 2])],
      );
    });
  }
  test('symmetric up to the whole length', () => {
    expectSameAsEager((x) => tf.mirrorPad(x, [[4, 4]], 'symmetric'), [floats([4])]);
  });
});

describe('cropAndResize', () => {
  const image = floats([3, 6, 7, 2]);
  // No sample lies halfway between two pixels, where rounding to the nearest is anybody's.
  const corners = [
    [0, 0, 1, 1],
    [0.1037, 0.2113, 0.7073, 0.9019],
    [0.9043, 0.8117, 0.2029, 0.1061],
    [-0.3011, 0.1123, 0.5309, 1.3717],
    [0.4903, 0.5101, 0.4903, 0.5101],
    [0, 0.2519, 0.6047, 1],
  ];
  const boxes = given(corners.flat(), [6, 4]);
  const ids: Input = { shape: [6], dtype: 'int32', values: Int32Array.of(0, 2, 1, 0, 1, 2) };
  test('traced boxes, both methods, many sizes', () => {
    for (const method of ['bilinear', 'nearest'] as const) {
      for (const size of [
        [1, 1],
        [2, 3],
        [4, 4],
        [7, 5],
        [6, 7],
        [1, 9],
      ] as [number, number][]) {
        const fn: Fn = (x, b, i) => tf.image.cropAndResize(x, b, i, size, method, -7);
        expectSameAsEager(fn, [image, boxes, ids], 2e-5);
      }
    }
  });
  test('the far edge belongs to the image, whatever the sizes', () => {
    for (let height = 2; height < 40; height += 6) {
      for (let crop = 2; crop < 30; crop += 5) {
        const next = generator(height * 100 + crop);
        const corners = given([0, 0, 1, 1, next() / 2, next() / 2, 1, 1], [2, 4]);
        const both: Input = { shape: [2], dtype: 'int32', values: Int32Array.of(0, 0) };
        const fn: Fn = (x, b, i) => tf.image.cropAndResize(x, b, i, [crop, crop], 'bilinear', -1000);
        const values = tracedValues(fn, [floats([1, height, height, 1]), corners, both]);
        expect(Math.min(...values)).toBeGreaterThan(-3);
      }
    }
  });
  test('a box of an image that is not there is 0', () => {
    const beyond: Input = { ...ids, values: Int32Array.of(0, 3, 1, 9, 1, 2) };
    expectSameAsEager((x, b, i) => tf.image.cropAndResize(x, b, i, [3, 3]), [image, boxes, beyond], 2e-5);
  });
  test('of int32 images, and no boxes', () => {
    expectSameAsEager(
      (x, b, i) => tf.image.cropAndResize(x, b, i, [3, 3]),
      [ints([3, 6, 7, 2]), boxes, ids],
      2e-5,
    );
    const none: Input = { shape: [0], dtype: 'int32', values: new Int32Array(0) };
    expectSameAsEager((x, b, i) => tf.image.cropAndResize(x, b, i, [3, 3]), [image, floats([0, 4]), none]);
  });
});

describe('turning and flipping', () => {
  test('rotateWithOffset by any angle, centre and fill', () => {
    for (const angle of [0, 0.3, Math.PI / 2, -2, Math.PI]) {
      for (const center of [0.5, 0.1, [0.3, 0.8]] as (number | [number, number])[]) {
        expectSameAsEager((x) => tf.image.rotateWithOffset(x, angle, 3, center), [floats([2, 5, 6, 3])]);
        expectSameAsEager(
          (x) => tf.image.rotateWithOffset(x, angle, [1, 2, 3], center),
          [floats([2, 5, 6, 4])],
        );
      }
    }
  });
  test('flipLeftRight', () => {
    expectSameAsEager((x) => tf.image.flipLeftRight(x), [floats([2, 5, 6, 3])]);
    expectSameAsEager((x) => tf.image.flipLeftRight(x), [floats([2, 5, 1, 3])]);
  });
});

describe('transform', () => {
  const image = floats([1, 6, 7, 2]);
  const transforms: Record<string, number[]> = {
    identity: [1, 0, 0, 0, 1, 0, 0, 0],
    shift: [1, 0, 2.21, 0, 1, -1.73, 0, 0],
    shear: [0.8031, 0.3127, -1.0173, -0.2119, 1.3091, 0.7013, 0, 0],
    'zoom out': [3, 0, -9.61, 0, 3, -11.33, 0, 0],
    projective: [1.1037, 0.2053, -0.4119, 0.1071, 0.9043, 0.3019, 0.0203, 0.0407],
    'with infinite points': [1, 0, 0.3011, 0, 1, 0.2017, -0.25, 0],
  };
  for (const fillMode of ['constant', 'reflect', 'wrap', 'nearest'] as const) {
    for (const interpolation of ['nearest', 'bilinear'] as const) {
      test(`${interpolation}, ${fillMode}, traced transforms`, () => {
        for (const values of Object.values(transforms)) {
          const fn: Fn = (x, t) => tf.image.transform(x, t, interpolation, fillMode, 5);
          expectSameAsEager(fn, [image, given(values, [1, 8])], 1e-4);
          const sized: Fn = (x, t) => tf.image.transform(x, t, interpolation, fillMode, 5, [4, 9]);
          expectSameAsEager(sized, [image, given(values, [1, 8])], 1e-4);
        }
      });
    }
  }
  test('every image of a batch, with one transform or each its own', () => {
    // tfjs's cpu kernel stops after the first image, so each goes by itself.
    const images = floats([3, 4, 5, 2]);
    const shear = [0.8, 0.3, -1, -0.2, 1.3, 0.7, 0, 0];
    const each = given([...shear, 1, 0, 1.5, 0, 1, -0.5, 0, 0, 0.5, 0, 0, 0, 2, 0.25, 0.01, 0], [3, 8]);
    const together: Fn = (x, t) => tf.image.transform(x, t, 'bilinear', 'constant', 2);
    const apart: Fn = (x, t) =>
      tf.concat(
        [0, 1, 2].map((i) =>
          together(tf.slice(x, [i], [1]), tf.slice(t, [t.shape[0] === 1 ? 0 : i], [1])),
        ) as tf.Tensor[],
      );
    for (const t of [each, given(shear, [1, 8])]) {
      const wanted = (
        apart(tf.tensor(images.values, images.shape), tf.tensor(t.values, t.shape)) as tf.Tensor
      ).dataSync();
      expectClose(tracedValues(together, [images, t]), wanted, 1e-5);
    }
  });
});

describe('composites on colours', () => {
  test('grayscaleToRGB, and thresholds given as numbers', () => {
    expectSameAsEager((x) => tf.image.grayscaleToRGB(x), [floats([2, 3, 4, 1])]);
    for (const inverted of [false, true]) {
      const fn: Fn = (x) => tf.image.threshold(x, 'binary', inverted, 0.4);
      expectSameAsEager(fn, [floats([5, 4, 3], 0, 255)]);
      expectSameAsEager(fn, [floats([5, 4, 1], 0, 255)]);
    }
  });
});

describe('localResponseNormalization', () => {
  const settings = [
    [5, 1, 1, 0.5],
    [1, 2, 0.5, 0.75],
    [0, 1, 1, 0.5],
    [2, 1.5, 0.1, 1],
    [9, 1, 0.3, 0.5],
  ] as const;
  test('and its gradient', () => {
    for (const [radius, bias, alpha, beta] of settings) {
      const fn: Fn = (x) => tf.localResponseNormalization(x, radius, bias, alpha, beta);
      expectSameAsEager(fn, [floats([2, 3, 2, 7])]);
      expectSameAsEager(gradientsOf(fn), [floats([2, 3, 2, 7])], 1e-5);
    }
    expectSameAsEager((x) => tf.localResponseNormalization(x), [floats([3, 2, 7])]);
  });
});

describe('batchNorm', () => {
  const vectors = [floats([4]), floats([4], 0.5, 2, 3), floats([4], -1, 1, 5), floats([4], 0.2, 2, 7)];
  test('with and without offset and scale, and gradients', () => {
    const x = floats([2, 3, 2, 4]);
    const all: Fn = (v, m, s2, o, s) => tf.batchNorm(v, m, s2, o, s, 0.01);
    expectSameAsEager(all, [x, ...vectors], 1e-5);
    expectSameAsEager(gradientsOf(all), [x, ...vectors], 2e-5);
    const bare: Fn = (v, m, s2) => tf.batchNorm(v, m, s2);
    const [mean, variance, offset, scale] = vectors;
    expectSameAsEager(bare, [x, mean, variance], 1e-5);
    // tfjs has no gradients unless both are there: those of an offset of zeros and a scale of ones.
    const neutral: Fn = (v, m, s2) => tf.batchNorm(v, m, s2, tf.zeros([4]), tf.ones([4]));
    const wanted = (
      gradientsOf(neutral)(...[x, mean, variance].map((v) => tf.tensor(v.values, v.shape))) as tf.Tensor[]
    ).map((g) => g.dataSync());
    const { results } = evaluateTraced(gradientsOf(bare), [x, mean, variance]);
    wanted.forEach((values, i) => {
      expectClose(results[i].values, values, 2e-5);
    });
    const half: Fn = (v, m, s2, o) => tf.batchNorm(v, m, s2, o);
    const other: Fn = (v, m, s2, s) => tf.batchNorm(v, m, s2, undefined, s);
    expect(Object.keys(evaluateTraced(gradientsOf(half), [x, mean, variance, offset]).results)).toHaveLength(
      4,
    );
    expect(Object.keys(evaluateTraced(gradientsOf(other), [x, mean, variance, scale]).results)).toHaveLength(
      4,
    );
    for (const shape of [
      [5, 4],
      [3, 2, 4],
    ]) {
      expectSameAsEager(gradientsOf(all), [floats(shape), ...vectors], 2e-5);
    }
  });
});

describe('second derivatives against differences of the first', () => {
  const image = floats([1, 4, 3, 4], -1, 1);
  const cases: Record<string, Fn> = {
    resizeBilinear: (x) => tf.image.resizeBilinear(x, [7, 2]),
    'resizeBilinear, half pixels': (x) => tf.image.resizeBilinear(x, [3, 6], false, true),
    resizeNearestNeighbor: (x) => tf.image.resizeNearestNeighbor(x, [6, 5]),
    localResponseNormalization: (x) => tf.localResponseNormalization(x, 1, 1, 0.7, 0.75),
    'localResponseNormalization of all channels': (x) => tf.localResponseNormalization(x, 5, 2, 0.5, 0.5),
    mirrorPad: (x) =>
      tf.mirrorPad(
        x,
        [
          [0, 0],
          [1, 2],
          [2, 0],
          [0, 0],
        ],
        'reflect',
      ),
    batchNorm: (x) => {
      const { mean, variance } = tf.moments(x, [0, 1, 2]);
      return tf.batchNorm(x, mean as tf.Tensor1D, variance as tf.Tensor1D);
    },
  };
  for (const [name, fn] of Object.entries(cases)) {
    test(name, () => expectSecondDerivatives((x) => tf.sin(fn(x) as tf.Tensor), [image]));
  }
});
