/**
 * Gradients that tfjs lacks, in force while a trace runs.
 *
 * tfjs 4.22 has no gradient for Equal, Less, Greater, LogicalAnd ... A first derivative of max, clip, leakyRelu or maximum goes
 * through them, so a second derivative stops with "gradient function not found", though it is zero along that path. Elu's
 * first derivative is a kernel without a gradient of its own. The gradient of cumsum transposes its result for an axis that is not
 * the last, which fails, or is wrong for square shapes. Those of maximum, minimum and squaredDifference are not summed
 * over broadcast axes, which fails.
 */
import * as tf from '@tensorflow/tfjs';

type Gradient = tf.GradConfig;

const COMPARISONS = [
  'Equal',
  'NotEqual',
  'Less',
  'LessEqual',
  'Greater',
  'LogicalAnd',
  'LogicalOr',
  'LogicalXor',
];

const zeroLike = (x: tf.Tensor): tf.Tensor => tf.zeros(x.shape, 'float32');

/** Piecewise constant: zero towards every input. */
const zeroGradient = (kernelName: string, names: readonly string[]): Gradient => ({
  kernelName,
  inputsToSave: [...names],
  gradFunc: (_, saved) =>
    Object.fromEntries(names.map((name, i) => [name, () => zeroLike((saved as tf.Tensor[])[i]!)])),
});

const ADDED: readonly Gradient[] = [
  ...COMPARISONS.map((kernelName) => zeroGradient(kernelName, ['a', 'b'])),
  zeroGradient('LogicalNot', ['x']),
  {
    // f(dy, y) = dy * (y >= 0 ? 1 : y + 1)
    kernelName: 'EluGrad',
    inputsToSave: ['dy', 'y'],
    gradFunc: (upstream, saved) => {
      const u = upstream as tf.Tensor;
      const [dy, y] = saved as [tf.Tensor, tf.Tensor];
      const above = tf.greaterEqual(y, 0);
      return {
        dy: () => tf.where(above, u, tf.mul(u, tf.add(y, 1))),
        y: () => tf.where(above, tf.zerosLike(u), tf.mul(u, dy)),
      };
    },
  },
];

type GradientInputs = Record<string, () => tf.Tensor>;

/** Sums a gradient over the axes that its input was stretched along. */
function sumTo(gradient: tf.Tensor, shape: readonly number[]): tf.Tensor {
  const offset = gradient.rank - shape.length;
  const axes = gradient.shape
    .map((_, i) => i)
    .filter((i) => i < offset || shape[i - offset] !== gradient.shape[i]);
  const summed = axes.length > 0 ? tf.sum(gradient, axes) : gradient;
  return tf.reshape(summed, shape.slice());
}

/** tfjs's own rule, with the sums over broadcast axes that it leaves out. */
const summedOverBroadcast = (original: Gradient): Gradient => ({
  ...original,
  gradFunc: (dy, saved, attributes) => {
    const inputs = original.gradFunc(dy, saved, attributes) as GradientInputs;
    const [a, b] = saved as tf.Tensor[];
    return { a: () => sumTo(inputs.a(), a.shape), b: () => sumTo(inputs.b(), b.shape) };
  },
});

const REPLACED: Readonly<Record<string, (original: Gradient) => Gradient>> = {
  Cumsum: (original) => ({
    ...original,
    gradFunc: (dy, _, attributes) => {
      const { axis, exclusive, reverse } = attributes as unknown as {
        axis: number;
        exclusive: boolean;
        reverse: boolean;
      };
      return { x: () => tf.cumsum(dy as tf.Tensor, axis, exclusive, !reverse) };
    },
  }),
  Maximum: summedOverBroadcast,
  Minimum: summedOverBroadcast,
  SquaredDifference: summedOverBroadcast,
};

/** Gradients of REPLACED that are in force: a trace inside a trace leaves them alone. */
const inForce = new WeakSet<Gradient>();

/** Runs `f` with these gradients registered, and leaves the registry as it was. */
export function withTraceGradients<T>(f: () => T): T {
  const added = ADDED.filter((gradient) => !tf.getGradient(gradient.kernelName));
  const replaced: Gradient[] = [];
  try {
    for (const gradient of added) tf.registerGradient(gradient);
    for (const [name, mend] of Object.entries(REPLACED)) {
      const original = tf.getGradient(name);
      if (!original || inForce.has(original)) continue;
      const mended = mend(original);
      inForce.add(mended);
      replaced.push(original);
      tf.unregisterGradient(name);
      tf.registerGradient(mended);
    }
    return f();
  } finally {
    for (const { kernelName } of added) tf.unregisterGradient(kernelName);
    for (const original of replaced) {
      tf.unregisterGradient(original.kernelName);
      tf.registerGradient(original);
    }
  }
}
