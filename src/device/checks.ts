/** Checks of what callers hand to a device, the same words on every device. Nothing invalid goes further down. */
import { OptionError, ShapeError } from '../errors.js';
import { type DType, sizeOf, type TypedArray } from '../graph/graph.js';
import { describe } from '../random/philox.js';
import type {
  LeafSpec,
  ReverseRequest,
  RunRequest,
  StateSnapshot,
  ThetaInput,
  UnrollSpec,
} from './driver.js';

const ARRAY_OF: Readonly<Record<DType, new (n: number) => TypedArray>> = {
  float32: Float32Array,
  int32: Int32Array,
  bool: Uint8Array,
};

function isSafeCount(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}

/** @throws OptionError unless `particles` is an integer of 1 .. 2^31 - 1 */
export function checkParticles(particles: number): void {
  if (!isSafeCount(particles, 1, 2 ** 31 - 1))
    throw new OptionError(`particles must be an integer of at least 1, got ${String(particles)}`);
}

/** Leaves with `rows` leading entries each (1 for data). @throws OptionError, ShapeError naming the leaf */
export function checkLeaves(
  what: string,
  specs: readonly LeafSpec[],
  values: readonly TypedArray[],
  rows: number,
): void {
  if (values.length !== specs.length)
    throw new ShapeError(`${what} has ${specs.length} leaves, got ${values.length}`);
  specs.forEach((spec, i) => {
    const value = values[i];
    if (!(value instanceof ARRAY_OF[spec.dtype]))
      throw new OptionError(`${what} "${spec.path}" must be a ${ARRAY_OF[spec.dtype].name} (${spec.dtype})`);
    const wanted = rows * sizeOf(spec.shape);
    if (value.length !== wanted)
      throw new ShapeError(
        `${what} "${spec.path}" must hold ${wanted} elements (${rows === 1 ? '' : `${rows} x `}[${spec.shape}]), got ${value.length}`,
      );
  });
}

/** First steps of the episode per particle. @throws OptionError naming the first bad particle */
export function checkStagger(t: Int32Array, particles: number, horizon: number): void {
  if (!(t instanceof Int32Array) || t.length !== particles)
    throw new ShapeError(`t must be an Int32Array of ${particles} particles, got ${t?.length} elements`);
  for (let i = 0; i < particles; i++)
    if (t[i] < 0 || t[i] >= horizon)
      throw new OptionError(`t[${i}] must be in 0 .. horizon - 1 (horizon ${horizon}), got ${t[i]}`);
}

/** @throws OptionError, ShapeError */
export function checkSnapshot(spec: UnrollSpec, snapshot: StateSnapshot): void {
  const particles = snapshot.t.length;
  checkParticles(particles);
  checkStagger(snapshot.t, particles, spec.horizon);
  if (!(snapshot.fresh instanceof Uint8Array) || snapshot.fresh.length !== particles)
    throw new ShapeError(`fresh must be a Uint8Array of ${particles} particles`);
  checkLeaves('state', spec.state, snapshot.leaves, particles);
}

/** @throws OptionError */
export function checkAncestors(ancestors: Int32Array, particles: number): void {
  if (!(ancestors instanceof Int32Array) || ancestors.length < 1)
    throw new OptionError('ancestors must be an Int32Array of at least one particle');
  for (let i = 0; i < ancestors.length; i++)
    if (ancestors[i] < 0 || ancestors[i] >= particles)
      throw new OptionError(`ancestors[${i}] must be in 0 .. ${particles - 1}, got ${ancestors[i]}`);
}

/** Everything in a request but its state. @throws OptionError, ShapeError */
export function checkRun(spec: UnrollSpec, request: RunRequest): void {
  const { particles } = request.state;
  if (!isSafeCount(request.steps, 1, 2 ** 31 - 1))
    throw new OptionError(`steps must be an integer of at least 1, got ${String(request.steps)}`);
  if (!isSafeCount(request.seed, 0, Number.MAX_SAFE_INTEGER))
    throw new OptionError(`seed must be an integer of 0 .. 2^53 - 1, got ${String(request.seed)}`);
  if (!isSafeCount(request.firstStep, 0, 2 ** 32 - 1) || request.firstStep + request.steps > 2 ** 32)
    throw new OptionError(
      `firstStep must be a uint32 with firstStep + steps <= 2^32, got ${String(request.firstStep)}`,
    );
  if (typeof request.antithetic !== 'boolean')
    throw new OptionError(`antithetic must be true or false, got ${describe(request.antithetic)}`);
  if (request.signal !== undefined && !(request.signal instanceof AbortSignal))
    throw new OptionError(
      `signal must be an AbortSignal (the signal of an AbortController), got ${describe(request.signal)}`,
    );
  if (request.onProgress !== undefined && typeof request.onProgress !== 'function')
    throw new OptionError(`onProgress must be a function, got ${describe(request.onProgress)}`);
  if (request.antithetic && particles % 2 !== 0)
    throw new OptionError(`an antithetic run needs an even number of particles, got ${particles}`);
  if (request.record !== 'sum' && request.record !== 'perStep')
    throw new OptionError(`record must be 'sum' or 'perStep', got ${String(request.record)}`);
  if (request.record === 'perStep' && request.steps * particles > 2 ** 32 - 1)
    throw new OptionError(
      `record 'perStep' of ${request.steps} steps of ${particles} particles is more than 2^32 - 1 losses: run fewer steps at a time, or record 'sum'`,
    );
  checkTheta(spec, request.theta, particles, request.antithetic);
}

/** What a reverse request has beside a run's. @throws OptionError, ShapeError naming the leaf */
export function checkReverse(spec: UnrollSpec, request: ReverseRequest): void {
  const { particles } = request.state;
  const { finalCotangents, lossWeights } = request;
  if (finalCotangents !== undefined) {
    if (finalCotangents.length !== spec.state.length)
      throw new ShapeError(
        `finalCotangents has one entry per leaf of the state (${spec.state.length}), got ${finalCotangents.length}`,
      );
    spec.state.forEach((leaf, i) => {
      const values = finalCotangents[i];
      if (values === undefined) return;
      if (leaf.dtype !== 'float32')
        throw new OptionError(`the state "${leaf.path}" is ${leaf.dtype} and has no cotangent`);
      const wanted = particles * sizeOf(leaf.shape);
      if (!(values instanceof Float32Array) || values.length !== wanted)
        throw new ShapeError(
          `the final cotangent of "${leaf.path}" must be a Float32Array of ${wanted} elements, got ${values?.length}`,
        );
    });
  }
  if (lossWeights !== undefined && !(lossWeights instanceof Float32Array && lossWeights.length === particles))
    throw new ShapeError(
      `lossWeights must be a Float32Array of ${particles} particles, got ${lossWeights?.length}`,
    );
}

function checkTheta(spec: UnrollSpec, theta: ThetaInput, particles: number, antithetic: boolean): void {
  const elements = spec.theta.reduce((sum, leaf) => sum + sizeOf(leaf.shape), 0);
  const check = (name: string, values: Float32Array, wanted: number) => {
    if (!(values instanceof Float32Array) || values.length !== wanted)
      throw new ShapeError(
        `theta ${name} must be a Float32Array of ${wanted} elements, got ${values?.length}`,
      );
  };
  switch (theta.kind) {
    case 'shared':
      check('values', theta.values, elements);
      return;
    case 'perParticle':
      check('values', theta.values, particles * elements);
      return;
    case 'perturbed': {
      check('mean', theta.mean, elements);
      check('sigma', theta.sigma, elements);
      if (!isSafeCount(theta.seed, 0, Number.MAX_SAFE_INTEGER))
        throw new OptionError(`theta seed must be an integer of 0 .. 2^53 - 1, got ${String(theta.seed)}`);
      const pairs = antithetic ? particles / 2 : particles;
      if (typeof theta.noiseStep === 'number') {
        if (!isSafeCount(theta.noiseStep, 0, 2 ** 32 - 1))
          throw new OptionError(`noiseStep must be a uint32, got ${theta.noiseStep}`);
      } else if (!(theta.noiseStep instanceof Uint32Array) || theta.noiseStep.length !== pairs)
        throw new ShapeError(`noiseStep must be a number or a Uint32Array of ${pairs} pairs`);
      return;
    }
    default:
      throw new OptionError(
        `theta kind must be shared, perParticle or perturbed, got ${String((theta as { kind: unknown }).kind)}`,
      );
  }
}
