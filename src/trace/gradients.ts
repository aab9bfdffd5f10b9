/**
 * Gradients that tfjs lacks, or has in a form that does not work, in force while a trace runs.
 *
 * tfjs 4.22 has no gradient for Equal, Less, Greater, LogicalAnd ... The derivative of where(x > 0, ...), and a second derivative of
 * max, clip, leakyRelu or maximum, go through them and stop with "gradient function not found", though nothing flows
 * along that path. Elu's first derivative is a kernel without a gradient of its own. More that is added stands in
 * gradients-index.ts and gradients-structure.ts; what is replaced, and why, in replaced-gradients.ts.
 */
import * as tf from '@tensorflow/tfjs';
import { UnsupportedOpError } from '../errors.js';
import { callSite } from './frames.js';
import { IMAGE_GRADIENTS } from './gradients-image.js';
import { INDEX_GRADIENTS } from './gradients-index.js';
import { STRUCTURE_GRADIENTS } from './gradients-structure.js';
import { WINDOW_GRADIENTS } from './gradients-window.js';
import { LOWERINGS } from './kernels.js';
import { REPLACED } from './replaced-gradients.js';

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
  'BitwiseAnd',
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
  ...INDEX_GRADIENTS,
  ...STRUCTURE_GRADIENTS,
  ...COMPARISONS.map((kernelName) => zeroGradient(kernelName, ['a', 'b'])),
  ...['LogicalNot', 'All', 'Any'].map((kernelName) => zeroGradient(kernelName, ['x'])),
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

/** A gradient that says that there is none, with the line that asked for it. */
const noGradient = (kernelName: string): Gradient => ({
  kernelName,
  gradFunc: () => {
    throw new UnsupportedOpError(
      kernelName,
      `the tfjs kernel ${kernelName} has no gradient, in tfjs or here; keep it off the way from the inputs to what is differentiated, or give a gradient of your own with tf.customGrad`,
      callSite().frame,
    );
  },
});

/** Whole families: what tfjs has of them is replaced, the rest added. */
const FAMILIES: readonly Gradient[] = [...WINDOW_GRADIENTS, ...IMAGE_GRADIENTS];

/** Replacements that are in force: a trace inside a trace leaves them alone. */
const inForce = new WeakSet<Gradient>();

/** Runs `f` with these gradients registered, and leaves the registry as it was. */
export function withTraceGradients<T>(f: () => T): T {
  const added = [...ADDED, ...FAMILIES].filter((gradient) => !tf.getGradient(gradient.kernelName));
  const replaced: Gradient[] = [];
  try {
    for (const gradient of added) tf.registerGradient(gradient);
    for (const kernel of Object.keys(LOWERINGS)) {
      if (tf.getGradient(kernel)) continue;
      const refusal = noGradient(kernel);
      added.push(refusal);
      tf.registerGradient(refusal);
    }
    const replacements = FAMILIES.map((gradient) => [gradient.kernelName, () => gradient] as const);
    for (const [name, mend] of [...Object.entries(REPLACED), ...replacements]) {
      const original = tf.getGradient(name);
      if (!original || inForce.has(original)) continue;
      const mended = mend(original);
      if (mended === original) continue;
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
