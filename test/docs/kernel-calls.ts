/** Which tfjs kernels the sample ops run, forth and back, and whether derivatives through each of them can be traced. */
import * as tf from '@tensorflow/tfjs';
import { evaluateGraph, type Value } from '../../src/graph/evaluate.js';
import { trace } from '../../src/trace/trace.js';
import { floats } from '../trace/inputs.js';
import type { Sample } from './sample.js';
import { SAMPLES } from './samples.js';
import { KERNEL_SAMPLES } from './samples-structure.js';

interface Argument {
  readonly shape: number[];
  readonly dtype: tf.DataType;
}

/** One call of a kernel: its inputs by name (or position), and its attributes. */
export interface KernelCall {
  readonly kernel: string;
  readonly inputs: readonly (readonly [string, Argument])[];
  readonly isList: boolean;
  readonly attributes: object;
}

interface RunKernel {
  runKernel(kernel: string, inputs: object, attributes?: object): tf.Tensor | tf.Tensor[];
}

const engine = tf.engine() as unknown as RunKernel;

/** All kernel calls while `f` runs. */
function recordCalls(f: () => void): KernelCall[] {
  const calls: KernelCall[] = [];
  const own = Object.getOwnPropertyDescriptor(engine, 'runKernel');
  const { runKernel } = engine;
  engine.runKernel = (kernel, inputs, attributes) => {
    const entries = Object.entries(inputs as Record<string, tf.Tensor | undefined>).flatMap(([name, x]) =>
      x ? [[name, { shape: x.shape.slice(), dtype: x.dtype }] as const] : [],
    );
    calls.push({ kernel, inputs: entries, isList: Array.isArray(inputs), attributes: attributes ?? {} });
    return runKernel.call(engine, kernel, inputs, attributes);
  };
  try {
    f();
  } finally {
    if (own) Object.defineProperty(engine, 'runKernel', own);
    else delete (engine as Partial<RunKernel>).runKernel;
  }
  return calls;
}

const floatInputs = (shapes: readonly (readonly number[])[]) =>
  shapes.map((shape, i) => ({ role: 'value' as const, path: `x${i}`, shape, dtype: 'float32' as const }));

/** The float32 tensors of a result; complex ones as their parts. */
const floatTensors = (result: unknown): tf.Tensor[] => {
  if (result instanceof tf.Tensor) {
    if (result.dtype === 'complex64') return [tf.real(result), tf.imag(result)];
    return result.dtype === 'float32' ? [result] : [];
  }
  return Object.values(result as object).flatMap(floatTensors);
};

type OfFloats = (...inputs: tf.Tensor[]) => unknown;

/** A function of float32 tensors of these shapes. */
interface OnFloats {
  readonly fn: OfFloats;
  readonly shapes: readonly number[][];
}

/**
 * Gradients of sum y^2 over all float outputs, which has a second derivative also where the function is linear. The inputs enter
 * with a factor of 0, because tfjs throws where a result does not depend on one of them.
 */
const gradients =
  (fn: OfFloats): OfFloats =>
  (...inputs) =>
    tf.grads((...xs) => {
      const terms = floatTensors(fn(...xs)).map((y) => tf.sum(tf.square(y)));
      return tf.addN([...terms, ...xs.map((x) => tf.mul(tf.sum(x), 0))]) as tf.Scalar;
    })(inputs);

/** Inputs that are not float32 as constants: whole numbers and conditions have no derivative. */
function onFloats({ fn, inputs }: Sample): OnFloats {
  const free = inputs.filter(({ dtype }) => dtype === 'float32');
  const others = inputs.map(({ values, shape, dtype }) => tf.tensor(values, shape, dtype));
  return {
    shapes: free.map(({ shape }) => shape),
    fn: (...xs) => {
      const rest = xs.slice();
      return fn(...inputs.map(({ dtype }, i) => (dtype === 'float32' ? rest.shift() : others[i])));
    },
  };
}

/** How a kernel was met: its first call, and the sample that it was called for. */
export interface KernelUse {
  readonly call: KernelCall;
  readonly sample: OnFloats;
}

/** Every kernel that the samples run, forth or back. */
export function kernelUses(): Map<string, KernelUse> {
  const uses = new Map<string, KernelUse>();
  const note = (sample: OnFloats, fn: OfFloats) => {
    const recorded = recordCalls(() => {
      try {
        trace((xs) => floatTensors(fn(...xs)), { inputs: floatInputs(sample.shapes) });
      } catch {
        // What a refusal is worth is another test's business: the calls before it count.
      }
    });
    for (const call of recorded) if (!uses.has(call.kernel)) uses.set(call.kernel, { call, sample });
  };
  const samples = [...Object.values(SAMPLES), ...KERNEL_SAMPLES].map(onFloats);
  for (const sample of samples) note(sample, sample.fn);
  for (const sample of samples) if (sample.shapes.length > 0) note(sample, gradients(sample.fn));
  return uses;
}

/** The kernel as a function of its float32 inputs; a complex one takes two. */
function asFunction({ kernel, inputs, isList, attributes }: KernelCall): {
  fn: OfFloats;
  shapes: number[][];
} {
  const shapes = inputs.flatMap(([, { shape, dtype }]) => {
    if (dtype === 'complex64') return [shape, shape];
    return dtype === 'float32' ? [shape] : [];
  });
  return {
    shapes,
    fn: (...xs) => {
      const rest = xs.slice();
      const tensors = inputs.map(([name, { shape, dtype }]) => {
        if (dtype === 'float32') return [name, rest.shift()!] as const;
        if (dtype === 'complex64') return [name, tf.complex(rest.shift()!, rest.shift()!)] as const;
        return [name, tf.zeros(shape, dtype)] as const;
      });
      return engine.runKernel(
        kernel,
        isList ? tensors.map(([, x]) => x) : Object.fromEntries(tensors),
        attributes,
      );
    },
  };
}

/** 'yes'; 'zero' where the function is piecewise constant; 'no'; '' where neither inputs nor outputs are real numbers. */
export type Derivative = 'yes' | 'zero' | 'no' | '';

/** Traces `fn` and evaluates it on some numbers; undefined where the trace is refused. */
function attempt({ fn, shapes }: OnFloats): Record<string, Value> | undefined {
  try {
    const inputs = floatInputs(shapes);
    const { graph } = trace((xs) => floatTensors(fn(...xs)), { inputs });
    const values = shapes.map((shape, i) => floats(shape, 0.2, 0.9, i).values);
    return evaluateGraph(graph, Object.fromEntries(inputs.map(({ path }, i) => [path, values[i]])));
  } catch {
    return undefined;
  }
}

function derivatives({ fn, shapes }: OnFloats): [Derivative, Derivative] {
  const first = attempt({ fn: gradients(fn), shapes });
  if (!first) return ['no', 'no'];
  const zero = Object.values(first).every(({ values }) => values.every((v) => v === 0));
  if (zero) return ['zero', 'zero'];
  return ['yes', attempt({ fn: gradients(gradients(fn)), shapes }) ? 'yes' : 'no'];
}

/** Whether the first and second derivatives of a kernel can be traced, or of the op that runs it in place of others (the fused ones). */
export function derivativesOf({ call, sample }: KernelUse): [Derivative, Derivative] {
  const kernel = asFunction(call);
  const outputs = attempt(kernel);
  if (kernel.shapes.length === 0 || (outputs && Object.keys(outputs).length === 0)) return ['', ''];
  const own = derivatives(kernel);
  return own[0] === 'no' ? derivatives(sample) : own;
}
