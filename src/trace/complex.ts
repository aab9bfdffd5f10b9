/**
 * complex64 tensors in a trace: pairs of float32 tensors that travel under one handle.
 *
 * The graph knows no complex values, and tfjs's tape no complex gradients (every one must be float32). So a kernel that is given a complex
 * tensor, or makes one, is not recorded as itself: it becomes ops on the real and the imaginary parts, which the graph and the tape
 * know. Gradients of any order then follow, where tfjs, whose Complex, Real, Imag and FFT kernels have none, stops.
 *
 * The kernels are those that take complex64 on the cpu backend of tfjs; the rest is refused, as there.
 */
import * as tf from '@tensorflow/tfjs';
import { UnsupportedOpError } from '../errors.js';
import { callSite } from './frames.js';
import { type ComplexParts, type EngineAccess, type Recorder, runningOps } from './recorder.js';

/** A call of a kernel as tfjs's engine hands it on. */
export interface KernelCall {
  readonly kernelName: string;
  readonly inputs: Readonly<Record<string, tf.Tensor>> | readonly tf.Tensor[];
  readonly attrs?: Readonly<Record<string, unknown>>;
}

type Operand = tf.Tensor | ComplexParts;
type Operands = Readonly<Record<string, Operand>>;
type Attributes = Readonly<Record<string, unknown>>;

const isPair = (x: Operand): x is ComplexParts => !(x instanceof tf.Tensor);

/** A real operand counts as one with imaginary part 0. */
function complexOf(x: Operand): ComplexParts {
  if (isPair(x)) return x;
  const real = tf.cast(x, 'float32');
  return { real, imag: tf.zerosLike(real) };
}

const each = (x: Operand, f: (part: tf.Tensor) => tf.Tensor): ComplexParts => {
  const { real, imag } = complexOf(x);
  return { real: f(real), imag: f(imag) };
};

const pairwise =
  (f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor) =>
  ({ a, b }: Operands): ComplexParts => {
    const [x, y] = [complexOf(a!), complexOf(b!)];
    return { real: f(x.real, y.real), imag: f(x.imag, y.imag) };
  };

const listed =
  (f: (parts: tf.Tensor[], attributes: Attributes) => tf.Tensor) =>
  (inputs: Operands, attributes: Attributes): ComplexParts => {
    const pairs = Object.values(inputs).map(complexOf);
    return {
      real: f(
        pairs.map(({ real }) => real),
        attributes,
      ),
      imag: f(
        pairs.map(({ imag }) => imag),
        attributes,
      ),
    };
  };

/** A kernel that takes real and imaginary parts as tensors of their own. */
function runOnParts(kernel: string, { real, imag }: ComplexParts): tf.Tensor[] {
  return [tf.engine().runKernel(kernel, { real, imag }) as tf.Tensor | tf.Tensor[]].flat();
}

const fourier =
  (kernel: string) =>
  ({ input }: Operands): ComplexParts => {
    const [real, imag] = runOnParts(kernel, complexOf(input!));
    return { real: real!, imag: imag! };
  };

/** Kernels on complex64 tensors, in ops on their parts. */
export const COMPLEX_KERNELS: Readonly<
  Record<string, (inputs: Operands, attributes: Attributes) => Operand>
> = {
  Complex: ({ real, imag }) => ({
    real: tf.cast(real as tf.Tensor, 'float32'),
    imag: tf.cast(imag as tf.Tensor, 'float32'),
  }),
  Real: ({ input }) => complexOf(input!).real,
  Imag: ({ input }) => complexOf(input!).imag,
  ComplexAbs: ({ x }) => runOnParts('ComplexAbs', complexOf(x!))[0]!,
  FFT: fourier('FFT'),
  IFFT: fourier('IFFT'),
  Identity: ({ x }) => x!,
  Cast: ({ x }, { dtype }) =>
    dtype === 'complex64' ? complexOf(x!) : tf.cast(complexOf(x!).real, dtype as tf.DataType),
  Reshape: ({ x }, { shape }) => each(x!, (part) => tf.reshape(part, shape as number[])),
  ExpandDims: ({ input }, { dim }) => each(input!, (part) => tf.expandDims(part, dim as number)),
  ZerosLike: ({ x }) => each(x!, (part) => tf.zerosLike(part)),
  OnesLike: ({ x }) => {
    const { real } = complexOf(x!);
    return { real: tf.onesLike(real), imag: tf.zerosLike(real) };
  },
  Add: pairwise((a, b) => tf.add(a, b)),
  Sub: pairwise((a, b) => tf.sub(a, b)),
  Multiply: ({ a, b }) => {
    const [x, y] = [complexOf(a!), complexOf(b!)];
    return {
      real: tf.sub(tf.mul(x.real, y.real), tf.mul(x.imag, y.imag)),
      imag: tf.add(tf.mul(x.real, y.imag), tf.mul(x.imag, y.real)),
    };
  },
  Concat: listed((parts, { axis }) => tf.concat(parts, axis as number)),
  Pack: listed((parts, { axis }) => tf.stack(parts, axis as number)),
};

/** Kernels that make complex tensors of real ones. */
function makesComplex({ kernelName, attrs }: KernelCall): boolean {
  return kernelName === 'Complex' || (kernelName === 'Cast' && attrs?.dtype === 'complex64');
}

function refuse(kernel: string): UnsupportedOpError {
  const op = runningOps().at(-1) ?? kernel;
  return new UnsupportedOpError(
    op,
    `tf.${op} (kernel ${kernel}) of a complex64 tensor cannot be traced, and tfjs's cpu backend has no such kernel either; apply it to tf.real(x) and tf.imag(x), and put the results together with tf.complex`,
    callSite().frame,
  );
}

/** Parts of their own, which only the complex tensor holds and disposes: what came may be the user's, or end with its scope. */
function owned(engine: EngineAccess, part: tf.Tensor): tf.Tensor {
  return engine.keep(tf.clone(part));
}

/** The result of a call that concerns complex tensors; undefined for any other. Throws UnsupportedOpError for what tfjs refuses, too. */
export function runComplex(
  engine: EngineAccess,
  recorder: Recorder,
  call: KernelCall,
): tf.Tensor | undefined {
  const entries = Object.entries(call.inputs).filter(([, x]) => x);
  const isComplex = entries.some(([, { dtype }]) => dtype === 'complex64');
  if (!isComplex && !makesComplex(call)) return undefined;
  const run = COMPLEX_KERNELS[call.kernelName];
  if (!run) throw refuse(call.kernelName);
  const inputs = Object.fromEntries(
    entries.map(([name, x]) => [name, x.dtype === 'complex64' ? recorder.parts(x) : x]),
  );
  const result = run(inputs, call.attrs ?? {});
  if (!isPair(result)) return tf.clone(result);
  return recorder.complexTensor(owned(engine, result.real), owned(engine, result.imag));
}
