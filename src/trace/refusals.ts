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

/** Why a kernel of tfjs has no lowering, and what to do instead. */
export interface KernelRefusal {
  readonly kind: 'randomness' | 'shape' | 'strings' | 'host' | 'unused' | 'missing';
  readonly why: string;
  readonly instead: string;
}

const DYNAMIC_SHAPE = 'the shape of its result depends on values, and shapes are static in a trace';
const MASK =
  'keep the full shape and select with a mask (tf.where with three arguments, multiplication by a 0/1 tensor)';
const REFUSALS: readonly (readonly [RegExp, KernelRefusal])[] = [
  [
    /^Multinomial$/,
    {
      kind: 'randomness',
      why: 'it draws on the host, and one draw would be frozen for every particle and step',
      instead: 'draw with the rng that is handed to the function',
    },
  ],
  [
    /^(NonMaxSuppressionV[345]|Unique)$/,
    {
      kind: 'shape',
      why: DYNAMIC_SHAPE,
      instead: MASK,
    },
  ],
  [
    /^(Ragged\w+|SparseFillEmptyRows|SparseReshape)$/,
    {
      kind: 'shape',
      why: DYNAMIC_SHAPE,
      instead: 'pad to a fixed shape and pass a mask as data',
    },
  ],
  [
    /^(String\w+|StaticRegexReplace)$/,
    {
      kind: 'strings',
      why: 'it works on strings, and a graph holds numbers',
      instead: 'prepare strings before the trace and pass numbers as data',
    },
  ],
  [
    /^(Draw|FromPixels)$/,
    {
      kind: 'host',
      why: 'it reads or paints pixels of the host',
      instead: 'pass pixels as data, and draw the result of the run',
    },
  ],
  [
    /^Pool$/,
    {
      kind: 'unused',
      why: 'no op of tfjs runs it',
      instead: 'use tf.pool, which runs AvgPool or MaxPool',
    },
  ],
];

/** Why a kernel without a lowering has none. */
export function kernelRefusal(kernel: string): KernelRefusal {
  return (
    REFUSALS.find(([pattern]) => pattern.test(kernel))?.[1] ?? {
      kind: 'missing',
      why: 'it has no form in core ops',
      instead: 'compute it before the trace and pass it as data, or write it with other ops',
    }
  );
}

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

function refuseDynamicShape(op: string, site: CallSite, instead = MASK): TraceError {
  return new TraceError(op, `tf.${op} while tracing: ${DYNAMIC_SHAPE}; ${instead}`, site.frame);
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
  const called = scope ?? site.call;
  const op = called === undefined || called === 'runKernel' ? kernel : called;
  const { kind, why, instead } = kernelRefusal(kernel);
  if (kind === 'randomness') return refuseRandomness(op, site);
  if (kind === 'shape') return refuseDynamicShape(op, site, instead);
  const which = op === kernel ? `the tfjs kernel ${kernel}` : `tf.${op} (kernel ${kernel})`;
  return new UnsupportedOpError(op, `${which} cannot be traced: ${why}; ${instead}`, site.frame);
}
