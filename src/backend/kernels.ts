/** Every kernel of the backend, by name. */
import type * as tf from '@tensorflow/tfjs';
import { UnsupportedOpError } from '../errors.js';
import { LOWERINGS } from '../trace/kernels.js';
import type { UnrolledBackend } from './backend.js';
import { CHECKS } from './checks.js';
import { ALWAYS_COMPLEX, complexKernel, type Runner } from './complex.js';
import { fallback } from './fallback.js';
import { EAGER } from './lowerings.js';
import type { Attributes, Inputs, KernelPlan } from './programs.js';
import { DIRECT } from './shared.js';

/** A kernel on tensors of this backend (or of others, which are moved here). */
export type KernelFunction = (
  backend: UnrolledBackend,
  inputs: Inputs,
  attributes: Attributes,
) => tf.TensorInfo | tf.TensorInfo[];

const NO_ATTRIBUTES: Attributes = {};

/** Kernels without a program, though a trace has them: results of known shapes, and a fill with text. */
const NEVER_NATIVE: ReadonlySet<string> = new Set(['BroadcastArgs', 'Fill']);

/** Kernels by name, made at the first use of each. */
const made = new Map<string, KernelFunction>();
let plans = 0;

/** The kernel; throws UnsupportedOpError where neither the library nor tfjs's cpu backend has it. */
export function kernelFunction(kernel: string): KernelFunction {
  let found = made.get(kernel);
  if (!found) {
    found = makeKernel(kernel);
    made.set(kernel, found);
  }
  return found;
}

const runnerOf =
  (backend: UnrolledBackend): Runner =>
  (kernel, inputs, attributes = NO_ATTRIBUTES) => {
    const result = kernelFunction(kernel)(backend, inputs, attributes);
    return Array.isArray(result) ? result : [result];
  };

function makeKernel(kernel: string): KernelFunction {
  const unusual = unusualKernel(kernel);
  if (ALWAYS_COMPLEX.has(kernel)) return unusual;
  const direct = DIRECT[kernel];
  const native = NEVER_NATIVE.has(kernel) ? undefined : nativeKernel(kernel);
  if (!native)
    return (backend, inputs, attributes) =>
      direct?.(backend, inputs, attributes) ?? unusual(backend, inputs, attributes);
  const makesComplex = kernel === 'Cast';
  return (backend, inputs, attributes) => {
    const done = direct?.(backend, inputs, attributes);
    if (done) return done;
    if (makesComplex && attributes.dtype === 'complex64') return unusual(backend, inputs, attributes);
    return native(backend, inputs, attributes) ?? unusual(backend, inputs, attributes);
  };
}

/** Undefined: an input has a dtype that no program has. */
type NativeKernel = (
  backend: UnrolledBackend,
  inputs: Inputs,
  attributes: Attributes,
) => ReturnType<KernelFunction> | undefined;

/** The kernel as a program. */
function nativeKernel(kernel: string): NativeKernel | undefined {
  const traced = LOWERINGS[kernel];
  if (!traced) return undefined;
  const usual: KernelPlan = { id: plans++, lower: traced, scalars: [] };
  const eager = EAGER[kernel];
  const special: KernelPlan = eager ? { id: plans++, ...eager } : usual;
  const check = CHECKS[kernel];
  return (backend, inputs, given) => {
    if (check && !isNumeric(inputs)) return undefined;
    const attributes = check ? check(backend, inputs, given) : given;
    const plan = eager?.floatsOnly && inputs.x?.dtype !== 'float32' ? usual : special;
    const { programs } = backend;
    const program = programs.find(plan, inputs, attributes);
    if (!program) return undefined;
    const values = [];
    for (const name in inputs) {
      const input = inputs[name];
      if (input) values.push(backend.valuesOf(input.dataId));
    }
    const { outputs } = program;
    const arrays = programs.run(program, plan, values, attributes);
    if (!program.isList) return backend.own(arrays[0], outputs[0].shape, outputs[0].dtype);
    return arrays.map((array, i) => backend.own(array, outputs[i].shape, outputs[i].dtype));
  };
}

function isNumeric(inputs: Inputs): boolean {
  for (const name in inputs) {
    const dtype = inputs[name]?.dtype;
    if (dtype === 'string' || dtype === 'complex64') return false;
  }
  return true;
}

/** The kernel for complex tensors, strings, and where there is no lowering. */
function unusualKernel(kernel: string): KernelFunction {
  const complex = complexKernel(kernel, runnerOf);
  const cpu = fallback(kernel);
  return (backend, inputs, attributes) => {
    if (complex && (ALWAYS_COMPLEX.has(kernel) || hasComplex(inputs) || attributes.dtype === 'complex64'))
      return complex(backend, inputs, attributes);
    if (cpu) return cpu(backend, inputs, attributes);
    const types = Object.values(inputs).flatMap((x) => (x ? [x.dtype] : []));
    throw new UnsupportedOpError(
      kernel,
      `there is no kernel ${kernel} for inputs of dtype ${types.join(', ')}`,
    );
  };
}

function hasComplex(inputs: Inputs): boolean {
  for (const name in inputs) if (inputs[name]?.dtype === 'complex64') return true;
  return false;
}
