/** What a trace refuses, and what to do instead. */
import { TraceError, type UnrolledError, UnsupportedOpError } from '../errors.js';
import { type CallSite, callSite } from './frames.js';

/** Ops of tfjs that draw random numbers on the host: a trace would freeze one draw for all particles and steps. */
export const RANDOM_OPS: ReadonlySet<string> = new Set([
  'dropout',
  'multinomial',
  'rand',
  'randomGamma',
  'randomNormal',
  'randomStandardNormal',
  'randomUniform',
  'randomUniformInt',
  'truncatedNormal',
]);

/** Kernels whose output shape depends on values. */
const DYNAMIC_KERNELS: ReadonlySet<string> = new Set([
  'NonMaxSuppressionV3',
  'NonMaxSuppressionV4',
  'NonMaxSuppressionV5',
  'Unique',
]);

const ALTERNATIVES: readonly (readonly [RegExp, string])[] = [
  [
    /^(Conv|FusedConv|Depthwise|FusedDepthwise|Dilation)/,
    'write it as tf.slice / tf.gather patches and tf.matMul',
  ],
  [/Pool|LRN/, 'write it with tf.stridedSlice or tf.reshape and tf.max / tf.mean over the window axes'],
  [/^Einsum$/, 'write it with tf.transpose, tf.reshape and tf.matMul'],
  [/^(TopK|SearchSorted|LowerBound|UpperBound)$/, 'write it with comparisons, tf.argMax or tf.cumsum'],
  [/^(GatherNd)$/, 'use tf.gather on a reshaped tensor'],
  [
    /^(ScatterNd|TensorScatterUpdate|SparseToDense|SparseSegment\w+|Bincount|DenseBincount)$/,
    'use tf.unsortedSegmentSum, or tf.oneHot and tf.matMul',
  ],
  [/^(Complex|ComplexAbs|Real|Imag|FFT|IFFT)$/, 'keep real and imaginary parts as two float32 tensors'],
  [/^String|^StaticRegex/, 'prepare strings before the trace and pass numbers as data'],
  [/^Ragged|^Sparse/, 'pad to a fixed shape and pass a mask as data'],
  [/^BroadcastArgs$/, 'shapes are static in a trace: compute them in plain TypeScript'],
  [/^MirrorPad$/, 'use tf.concat of tf.reverse and tf.slice'],
  [/^MatrixBandPart$/, 'multiply by a mask made with tf.range and comparisons'],
];

/** Randomness that a trace would freeze. */
export function refuseRandomness(op: string, site: CallSite = callSite()): TraceError {
  const name = op === 'Math.random' ? op : `tf.${op}`;
  return new TraceError(
    op,
    `${name} while tracing: its one draw would be frozen for every particle and step, with or without a seed; draw with the rng that is handed to the function (rng.normal, rng.uniform, rng.integers, rng.bernoulli)`,
    site.frame,
  );
}

const READ_CALLS_THAT_SHAPE: ReadonlySet<string> = new Set([
  'booleanMaskAsync',
  'nonMaxSuppression',
  'nonMaxSuppressionAsync',
  'nonMaxSuppressionPaddedAsync',
  'nonMaxSuppressionWithScore',
  'nonMaxSuppressionWithScoreAsync',
  'setdiff1dAsync',
  'unique',
  'whereAsync',
]);

function refuseDynamicShape(op: string, site: CallSite): TraceError {
  return new TraceError(
    op,
    `tf.${op} while tracing: the shape of its result depends on values, and shapes are static in a trace; keep the full shape and select with a mask (tf.where with three arguments, multiplication by a 0/1 tensor)`,
    site.frame,
  );
}

/** A value asked of a traced tensor. */
export function refuseRead(site: CallSite = callSite()): TraceError {
  const op = site.call ?? 'dataSync';
  if (READ_CALLS_THAT_SHAPE.has(op)) return refuseDynamicShape(op, site);
  return new TraceError(
    op,
    `${op} while tracing: tensors have no values yet, so none can be read, printed or branched on; keep computing with tensors (tf.where for a choice), or return the tensor and read the result of the run`,
    site.frame,
  );
}

/** A kernel without a lowering. `scope` is the tfjs op that called it, if known. */
export function refuseKernel(kernel: string, scope: string | undefined): UnrolledError {
  const site = callSite();
  const op = scope ?? site.call ?? kernel;
  if (kernel === 'Multinomial') return refuseRandomness('multinomial', site);
  if (DYNAMIC_KERNELS.has(kernel)) return refuseDynamicShape(op, site);
  const advice = ALTERNATIVES.find(([pattern]) => pattern.test(kernel))?.[1];
  const instead = advice ?? 'compute it before the trace and pass it as data, or write it with other ops';
  const which = op === kernel ? `the tfjs kernel ${kernel}` : `tf.${op} (kernel ${kernel})`;
  return new UnsupportedOpError(op, `${which} cannot be traced; ${instead}`, site.frame);
}
