/**
 * Gradients of kernels that move, cut or scan values, and of contractions and transforms, where tfjs 4.22 has none: stridedSlice,
 * depthToSpace, flipLeftRight, diag, cumprod (the second derivative of prod goes through it), einsum, FFT and IFFT. Each is written in ops that
 * have gradients themselves, so that derivatives of any order work.
 */
import * as tf from '@tensorflow/tfjs';
import { sizeOf } from '../graph/graph.js';

type Gradient = tf.GradConfig;

/** `x` with `step - 1` zeros between its elements along an axis, or reversed first when `step` is negative. */
function dilate(x: tf.Tensor, axis: number, step: number): tf.Tensor {
  const ordered = step < 0 ? tf.reverse(x, axis) : x;
  const size = x.shape[axis]!;
  const by = Math.abs(step);
  if (by === 1 || size <= 1) return ordered;
  const apart = tf.expandDims(ordered, axis + 1);
  const padded = tf.pad(
    apart,
    apart.shape.map((_, i): [number, number] => (i === axis + 1 ? [0, by - 1] : [0, 0])),
  );
  const wide = tf.reshape(
    padded,
    x.shape.map((d, i) => (i === axis ? d * by : d)),
  );
  return tf.slice(
    wide,
    wide.shape.map(() => 0),
    x.shape.map((d, i) => (i === axis ? (d - 1) * by + 1 : d)),
  );
}

interface StridedSliceAttributes {
  readonly begin: number[];
  readonly end: number[];
  readonly strides: number[];
  readonly beginMask: number;
  readonly endMask: number;
  readonly ellipsisMask: number;
  readonly newAxisMask: number;
  readonly shrinkAxisMask: number;
}

/** Every element of dy back to where it was taken from, zeros elsewhere. */
function stridedSlice(dy: tf.Tensor, shape: number[], attributes: StridedSliceAttributes): tf.Tensor {
  const { begin, end, strides, beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask } = attributes;
  const info = tf.slice_util.sliceInfo(
    shape,
    begin,
    end,
    strides,
    beginMask,
    endMask,
    ellipsisMask,
    newAxisMask,
    shrinkAxisMask,
  );
  if (info.isIdentity) return tf.reshape(dy, shape);
  const size =
    info.sliceDim0 || info.isSimpleSlice
      ? tf.slice_util.computeOutShape(info.begin, info.end, info.strides)
      : info.finalShapeSparse;
  if (sizeOf(size) === 0) return tf.zeros(shape);
  let result = tf.reshape(dy, size);
  const paddings = shape.map((d, axis): [number, number] => {
    const step = info.strides[axis]!;
    result = dilate(result, axis, step);
    const first = step > 0 ? info.begin[axis]! : info.begin[axis]! + (size[axis]! - 1) * step;
    return [first, d - first - result.shape[axis]!];
  });
  return tf.pad(result, paddings);
}

/** `x` moved `by` places along an axis, towards its end, with `fill` coming in. */
function shift(x: tf.Tensor, axis: number, by: number, fill: number): tf.Tensor {
  const n = x.shape[axis]!;
  const amount = Math.min(Math.abs(by), n);
  const kept = tf.slice(
    x,
    x.shape.map((_, i) => (i === axis && by < 0 ? amount : 0)),
    x.shape.map((d, i) => (i === axis ? d - amount : d)),
  );
  return tf.pad(
    kept,
    x.shape.map((_, i): [number, number] => {
      if (i !== axis) return [0, 0];
      return by < 0 ? [0, amount] : [amount, 0];
    }),
    fill,
  );
}

/**
 * Towards x of y_i = x_1 ... x_i: (product of all before k) * r_k with r_k = dy_k + x_(k+1) r_(k+1), without a division, so that
 * zeros in x are right. The recurrence is solved by doubling, ceil(log2 n) rounds.
 */
function cumprodGradient(dy: tf.Tensor, x: tf.Tensor, axis: number): tf.Tensor {
  const n = x.shape[axis]!;
  let sums = dy;
  let factors = shift(x, axis, -1, 0);
  for (let by = 1; by < n; by *= 2) {
    sums = tf.add(sums, tf.mul(factors, shift(sums, axis, -by, 0)));
    if (2 * by < n) factors = tf.mul(factors, shift(factors, axis, -by, 0));
  }
  return tf.mul(tf.cumprod(x, axis, true), sums);
}

/** Axes of the terms of an einsum and of its result, as letters. */
function einsumTerms(equation: string): { terms: string[]; output: string } {
  const [left, output] = equation.replace(/\s/g, '').split('->') as [string, string];
  return { terms: left.split(','), output };
}

/** Towards operand `which`: the other one contracted with dy, spread over the labels that only this operand has. */
function einsumGradient(dy: tf.Tensor, operands: readonly tf.Tensor[], equation: string, which: number) {
  const { terms, output } = einsumTerms(equation);
  const own = terms[which]!;
  const { shape } = operands[which]!;
  const others = terms.filter((_, i) => i !== which);
  const known = new Set([...output, ...others.join('')]);
  const reached = [...own].filter((label) => known.has(label));
  const sources = [dy, ...operands.filter((_, i) => i !== which)];
  const gradient = tf.einsum(`${[output, ...others].join(',')}->${reached.join('')}`, ...sources);
  const spread = [...own].map((label, i) => (known.has(label) ? shape[i]! : 1));
  return tf.broadcastTo(tf.reshape(gradient, spread), shape);
}

/** The conjugate transform of dy, as the kernels for pairs give it. */
function fourierGradient(inverse: boolean): Gradient {
  const kernelName = inverse ? 'IFFT' : 'FFT';
  return {
    kernelName,
    gradFunc: (dys) => {
      const [real, imag] = dys as [tf.Tensor, tf.Tensor];
      const n = real.shape.at(-1)!;
      const part = (which: 0 | 1) => () => {
        const kernel = inverse ? 'FFT' : 'IFFT';
        const parts = tf.engine().runKernel(kernel, { real, imag }) as tf.Tensor[];
        return tf.mul(parts[which]!, inverse ? 1 / n : n);
      };
      return { real: part(0), imag: part(1) };
    },
  };
}

export const STRUCTURE_GRADIENTS: readonly Gradient[] = [
  {
    kernelName: 'StridedSlice',
    inputsToSave: ['x'],
    gradFunc: (dy, saved, attributes) => {
      const { shape } = (saved as tf.Tensor[])[0]!;
      return {
        x: () => stridedSlice(dy as tf.Tensor, shape, attributes as unknown as StridedSliceAttributes),
      };
    },
  },
  {
    kernelName: 'DepthToSpace',
    inputsToSave: ['x'],
    gradFunc: (dy, saved, attributes) => {
      const { shape } = (saved as tf.Tensor[])[0]!;
      const { blockSize: b, dataFormat } = attributes as unknown as { blockSize: number; dataFormat: string };
      return {
        x: () => {
          const d = dy as tf.Tensor;
          if (dataFormat === 'NCHW') {
            const [batch, depth, height, width] = shape as [number, number, number, number];
            const apart = tf.reshape(d, [batch, depth / (b * b), height, b, width, b]);
            return tf.reshape(tf.transpose(apart, [0, 3, 5, 1, 2, 4]), shape);
          }
          const [batch, height, width, depth] = shape as [number, number, number, number];
          const apart = tf.reshape(d, [batch, height, b, width, b, depth / (b * b)]);
          return tf.reshape(tf.transpose(apart, [0, 1, 3, 2, 4, 5]), shape);
        },
      };
    },
  },
  {
    kernelName: 'FlipLeftRight',
    gradFunc: (dy) => ({ image: () => tf.reverse(dy as tf.Tensor, 2) }),
  },
  {
    kernelName: 'Diag',
    inputsToSave: ['x'],
    gradFunc: (dy, saved) => {
      const { shape, size } = (saved as tf.Tensor[])[0]!;
      return {
        x: () => {
          const square = tf.reshape(dy as tf.Tensor, [size, size]);
          return tf.reshape(tf.sum(tf.mul(square, tf.eye(size)), 1), shape);
        },
      };
    },
  },
  {
    kernelName: 'Cumprod',
    inputsToSave: ['x'],
    gradFunc: (dy, saved, attributes) => {
      const [x] = saved as [tf.Tensor];
      const { axis, exclusive, reverse } = attributes as unknown as {
        axis: number;
        exclusive: boolean;
        reverse: boolean;
      };
      return {
        x: () => {
          const turn = (t: tf.Tensor) => (reverse ? tf.reverse(t, axis) : t);
          const along = axis < 0 ? axis + x.rank : axis;
          const [ordered, upstream] = [turn(x), turn(dy as tf.Tensor)];
          // Exclusive products are those of the values moved on by one, behind a 1.
          const moved = exclusive ? shift(ordered, along, 1, 1) : ordered;
          const gradient = cumprodGradient(upstream, moved, along);
          return turn(exclusive ? shift(gradient, along, -1, 0) : gradient);
        },
      };
    },
  },
  {
    kernelName: 'Einsum',
    saveAllInputs: true,
    gradFunc: (dy, saved, attributes) => {
      const operands = saved as tf.Tensor[];
      const { equation } = attributes as unknown as { equation: string };
      return Object.fromEntries(
        operands.map((_, i) => [i, () => einsumGradient(dy as tf.Tensor, operands, equation, i)]),
      );
    },
  },
  fourierGradient(false),
  fourierGradient(true),
];

/** |z| on real and imaginary parts: z / |z| times dy, 0 at 0. tfjs's rule takes the sign of the real part. */
export const complexAbs = (original: Gradient): Gradient => ({
  ...original,
  inputsToSave: ['real', 'imag'],
  gradFunc: (dy, saved) => {
    const [real, imag] = saved as [tf.Tensor, tf.Tensor];
    const towards = (part: tf.Tensor) => () => {
      const size = tf.engine().runKernel('ComplexAbs', { real, imag }) as tf.Tensor;
      return tf.mul(dy as tf.Tensor, tf.divNoNan(part, size));
    };
    return { real: towards(real), imag: towards(imag) };
  },
});
