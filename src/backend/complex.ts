/** Kernels on complex64 tensors: programs on their real and imaginary parts. The list is that of tfjs's cpu backend. */
import type * as tf from '@tensorflow/tfjs';
import type { UnrolledBackend } from './backend.js';
import type { ComplexParts } from './data.js';
import type { KernelFunction } from './kernels.js';
import type { Attributes, Inputs } from './programs.js';
import { filled } from './shared.js';

/** Runs a kernel on real tensors by name. */
export type Runner = (kernel: string, inputs: Inputs, attributes?: Attributes) => tf.TensorInfo[];

type ComplexKernel = (on: Parts, inputs: Inputs, attributes: Attributes) => tf.TensorInfo;

/** One call: runs kernels, and lets go of what they leave in between. */
class Parts {
  readonly #between: tf.TensorInfo[] = [];

  constructor(
    readonly backend: UnrolledBackend,
    private readonly runner: Runner,
  ) {}

  /** A tensor of this call only. */
  temporary(info: tf.TensorInfo): tf.TensorInfo {
    this.#between.push(info);
    return info;
  }

  run(kernel: string, inputs: Inputs, attributes?: Attributes): tf.TensorInfo[] {
    return this.runner(kernel, inputs, attributes);
  }

  run1(kernel: string, inputs: Inputs, attributes?: Attributes): tf.TensorInfo {
    return this.run(kernel, inputs, attributes)[0];
  }

  /** Parts with the shape of the tensor; a real one counts as one with imaginary part 0. */
  of(x: tf.TensorInfo): ComplexParts {
    const parts = this.backend.dataOf(x.dataId).complexTensorInfos;
    const { shape } = x;
    if (parts) return { real: { ...parts.real, shape }, imag: { ...parts.imag, shape } };
    const real = this.temporary(this.run1('Cast', { x }, { dtype: 'float32' }));
    return { real, imag: this.temporary(filled(this.backend, 0, shape, 'float32')) };
  }

  complex(real: tf.TensorInfo, imag: tf.TensorInfo): tf.TensorInfo {
    return this.backend.complex(real, imag);
  }

  end(): void {
    for (const { dataId } of this.#between) this.backend.disposeData(dataId);
  }
}

const asFloat = (on: Parts, x: tf.TensorInfo) => on.run1('Cast', { x }, { dtype: 'float32' });

const pairwise =
  (kernel: string): ComplexKernel =>
  (on, { a, b }) => {
    const [x, y] = [on.of(a as tf.TensorInfo), on.of(b as tf.TensorInfo)];
    return on.complex(on.run1(kernel, { a: x.real, b: y.real }), on.run1(kernel, { a: x.imag, b: y.imag }));
  };

const listed =
  (kernel: string): ComplexKernel =>
  (on, inputs, attributes) => {
    const pairs = Object.values(inputs).map((x) => on.of(x as tf.TensorInfo));
    const list = (part: 'real' | 'imag'): Inputs =>
      Object.fromEntries(pairs.map((pair, i) => [i, pair[part]]));
    return on.complex(on.run1(kernel, list('real'), attributes), on.run1(kernel, list('imag'), attributes));
  };

const fourier =
  (kernel: string): ComplexKernel =>
  (on, { input }) => {
    const [real, imag] = on.run(kernel, { ...on.of(input as tf.TensorInfo) });
    return on.complex(real, imag);
  };

function multiply(on: Parts, { a, b }: Inputs): tf.TensorInfo {
  const [x, y] = [on.of(a as tf.TensorInfo), on.of(b as tf.TensorInfo)];
  const product = (p: tf.TensorInfo, q: tf.TensorInfo) => on.temporary(on.run1('Multiply', { a: p, b: q }));
  return on.complex(
    on.run1('Sub', { a: product(x.real, y.real), b: product(x.imag, y.imag) }),
    on.run1('Add', { a: product(x.real, y.imag), b: product(x.imag, y.real) }),
  );
}

const COMPLEX: Readonly<Partial<Record<string, ComplexKernel>>> = {
  Complex: (on, { real, imag }) =>
    on.complex(asFloat(on, real as tf.TensorInfo), asFloat(on, imag as tf.TensorInfo)),
  Real: (on, { input }) => {
    const { real } = on.of(input as tf.TensorInfo);
    return on.backend.share(real, real.shape);
  },
  Imag: (on, { input }) => {
    const { imag } = on.of(input as tf.TensorInfo);
    return on.backend.share(imag, imag.shape);
  },
  ComplexAbs: (on, { x }) => on.run1('ComplexAbs', { ...on.of(x as tf.TensorInfo) }),
  FFT: fourier('FFT'),
  IFFT: fourier('IFFT'),
  Cast: (on, inputs, { dtype }) => {
    const x = inputs.x as tf.TensorInfo;
    if (dtype !== 'complex64') return on.run1('Cast', { x: on.of(x).real }, { dtype });
    const { real, imag } = on.of(x);
    return on.complex(on.backend.share(real, real.shape), on.backend.share(imag, imag.shape));
  },
  ZerosLike: (on, { x }) => {
    const zeros = () => filled(on.backend, 0, (x as tf.TensorInfo).shape, 'float32');
    return on.complex(zeros(), zeros());
  },
  OnesLike: (on, { x }) => {
    const { shape } = x as tf.TensorInfo;
    return on.complex(filled(on.backend, 1, shape, 'float32'), filled(on.backend, 0, shape, 'float32'));
  },
  Add: pairwise('Add'),
  Sub: pairwise('Sub'),
  Multiply: multiply,
  Concat: listed('Concat'),
  Pack: listed('Pack'),
};

/** Kernels that make complex tensors, whatever they are given, or are about nothing else. */
export const ALWAYS_COMPLEX: ReadonlySet<string> = new Set(['Complex', 'Real', 'Imag']);

/** The kernel on complex tensors, if there is one. */
export function complexKernel(
  kernel: string,
  runner: (backend: UnrolledBackend) => Runner,
): KernelFunction | undefined {
  const run = COMPLEX[kernel];
  if (!run) return undefined;
  return (backend, inputs, attributes) => {
    const on = new Parts(backend, runner(backend));
    try {
      return run(on, inputs, attributes);
    } finally {
      on.end();
    }
  };
}
