/** One call of every op of tfjs that moves, selects or makes values, of linear algebra, of complex numbers and signals. */
import * as tf from '@tensorflow/tfjs';
import { bools, type Fn, floats, given, type Input, ints } from '../trace/inputs.js';
import { refusedTrace, type Sample, sample, unsupported } from './sample.js';

const MATRIX = floats([3, 4]);
const CUBE = floats([2, 3, 4]);
const IMAGE = floats([1, 2, 3, 4]);
const INDICES = { ...ints([3], 0, 3), values: Int32Array.of(2, 0, 1), shape: [3, 1] };
const complex = [MATRIX, floats([3, 4], -2, 2, 5)] as const;
const parts = (z: tf.Tensor) => [tf.real(z), tf.imag(z)];
const onComplex =
  (fn: (z: tf.Tensor) => tf.Tensor): Fn =>
  (re, im) =>
    parts(fn(tf.complex(re, im)));
const strings = () => tf.tensor1d(['a', 'b']);

const bySize = (name: string, ranks: readonly number[], make: (x: tf.Tensor, rank: number) => unknown) =>
  Object.fromEntries(
    ranks.map((rank): [string, Sample] => {
      const shape = [4, 3, 2, 2].slice(0, rank);
      return [`tf.${name}${rank}d`, sample((x) => make(x, rank), floats(shape))];
    }),
  );
// biome-ignore lint/suspicious/noExplicitAny: ops by rank, reached by name.
const op = (name: string): any => (tf as unknown as Record<string, unknown>)[name];
const RANKS = [1, 2, 3, 4];

const simple: Record<string, [Fn, ...Input[]]> = {
  batchToSpaceND: [
    (x) =>
      tf.batchToSpaceND(
        x,
        [2, 1],
        [
          [0, 0],
          [0, 1],
        ],
      ),
    floats([2, 2, 3]),
  ],
  bincount: [(w, x) => tf.bincount(x, w, 4), floats([6]), ints([6], 0, 5)],
  broadcastTo: [(x) => tf.broadcastTo(x, [4, 3]), floats([4, 1])],
  concat: [(a, b) => tf.concat([a, b], 1), MATRIX, floats([3, 2])],
  denseBincount: [(w, x) => tf.denseBincount(x, w, 4), floats([2, 3]), ints([2, 3], 0, 5)],
  depthToSpace: [(x) => tf.depthToSpace(x, 2), IMAGE],
  diag: [(x) => tf.diag(x), floats([4])],
  dot: [(a, b) => tf.dot(a, b), MATRIX, floats([4])],
  einsum: [(a, b) => tf.einsum('ij,jk->ik', a, b), MATRIX, floats([4, 2])],
  ensureShape: [(x) => tf.ensureShape(x, [3, 4]), MATRIX],
  expandDims: [(x) => tf.expandDims(x, 1), MATRIX],
  eye: [() => tf.eye(3, 4)],
  gather: [(x, i) => tf.gather(x, i, 1), MATRIX, ints([5], 0, 4)],
  gatherND: [(x, i) => tf.gatherND(x, i), MATRIX, INDICES],
  matMul: [(a, b) => tf.matMul(a, b), MATRIX, floats([4, 2])],
  mirrorPad: [
    (x) =>
      tf.mirrorPad(
        x,
        [
          [1, 1],
          [2, 0],
        ],
        'reflect',
      ),
    MATRIX,
  ],
  oneHot: [(i) => tf.oneHot(i, 3), ints([4], 0, 3)],
  outerProduct: [(a, b) => tf.outerProduct(a, b), floats([3]), floats([4])],
  pad: [
    (x) =>
      tf.pad(x, [
        [1, 0],
        [0, 2],
      ]),
    MATRIX,
  ],
  reshape: [(x) => tf.reshape(x, [2, 6]), MATRIX],
  reverse: [(x) => tf.reverse(x, 1), MATRIX],
  scatterND: [(i, u) => tf.scatterND(i, u, [4]), INDICES, floats([3])],
  searchSorted: [(s, v) => tf.searchSorted(s, v), given([1, 2, 3, 5]), floats([3], 0, 6)],
  slice: [(x) => tf.slice(x, [1, 1], [2, 2]), MATRIX],
  spaceToBatchND: [
    (x) =>
      tf.spaceToBatchND(
        x,
        [2, 1],
        [
          [0, 0],
          [0, 1],
        ],
      ),
    floats([1, 4, 3]),
  ],
  sparseToDense: [
    (i, v, d) => tf.sparseToDense(i, v, [6], d),
    { ...INDICES, shape: [3] },
    floats([3]),
    floats([]),
  ],
  split: [(x) => tf.split(x, 2, 1), MATRIX],
  squeeze: [(x) => tf.squeeze(x), floats([1, 3, 1])],
  stack: [(a, b) => tf.stack([a, b], 1), MATRIX, floats([3, 4], 0, 1)],
  stridedSlice: [(x) => tf.stridedSlice(x, [0, 3], [3, 0], [2, -1]), MATRIX],
  tensorScatterUpdate: [
    // The cpu kernel of tfjs writes into its first argument.
    (x, i, u) => tf.tensorScatterUpdate(tf.add(x, 0), i, u),
    floats([4]),
    INDICES,
    floats([3]),
  ],
  tile: [(x) => tf.tile(x, [2, 3]), MATRIX],
  topk: [(x) => Object.values(tf.topk(x, 2)), MATRIX],
  transpose: [(x) => tf.transpose(x, [2, 0, 1]), CUBE],
  unsortedSegmentSum: [(x, i) => tf.unsortedSegmentSum(x, i, 3), MATRIX, ints([3], 0, 3)],
  unstack: [(x) => tf.unstack(x, 1), MATRIX],
  complex: [onComplex((z) => z), ...complex],
  real: [(re, im) => tf.real(tf.complex(re, im)), ...complex],
  imag: [(re, im) => tf.imag(tf.complex(re, im)), ...complex],
  fft: [onComplex(tf.fft), ...complex],
  ifft: [onComplex(tf.ifft), ...complex],
  rfft: [(x) => parts(tf.rfft(x)), MATRIX],
  irfft: [(re, im) => tf.irfft(tf.complex(re, im)), ...complex],
};

const kernel =
  (name: string, ...names: string[]): Fn =>
  (...inputs: tf.Tensor[]) =>
    tf.engine().runKernel(name, Object.fromEntries(names.map((input, i) => [input, inputs[i]])));

/** Kernels that tfjs names and no op of it runs. */
export const KERNEL_SAMPLES: readonly Sample[] = [
  sample(kernel('MatrixBandPart', 'input', 'numLower', 'numUpper'), MATRIX, ints([], 1, 2), ints([], 1, 2)),
  sample(kernel('LowerBound', 'sortedSequence', 'values'), MATRIX, floats([3, 2])),
  sample(kernel('UpperBound', 'sortedSequence', 'values'), MATRIX, floats([3, 2])),
  sample(
    (x) => tf.engine().runKernel('BroadcastTo', { x }, { shape: [2, 3, 4], inputShape: [3, 4] }),
    MATRIX,
  ),
  sample((logits) => tf.engine().runKernel('LogSoftmax', { logits }, { axis: 1 }), MATRIX),
  sample(kernel('LogicalXor', 'a', 'b'), bools([3]), bools([3], 2)),
  sample(kernel('BroadcastArgs', 's0', 's1'), ints([2], 3, 4), ints([2], 3, 4)),
];

export const STRUCTURE_SAMPLES: Readonly<Record<string, Sample>> = {
  ...Object.fromEntries(
    Object.entries(simple).map(([name, [fn, ...inputs]]) => [`tf.${name}`, sample(fn, ...inputs)]),
  ),
  ...bySize('concat', RANKS, (x, rank) => op(`concat${rank}d`)([x, x], 0)),
  ...bySize('pad', RANKS, (x, rank) => {
    const pairs = Array.from({ length: rank }, (_, i) => [i, 1]);
    return op(`pad${rank}d`)(x, rank === 1 ? pairs[0] : pairs);
  }),
  ...bySize('reverse', RANKS, (x, rank) => (rank === 1 ? op('reverse1d')(x) : op(`reverse${rank}d`)(x, [0]))),
  ...bySize('slice', RANKS, (x, rank) =>
    rank === 1
      ? op('slice1d')(x, 1, 2)
      : op(`slice${rank}d`)(
          x,
          new Array(rank).fill(0),
          x.shape.map(() => 2),
        ),
  ),
  'tf.abs of complex64': sample((re, im) => tf.abs(tf.complex(re, im)), ...complex),
  'tf.fill, tf.range, tf.linspace': sample(() => [tf.fill([2], 3), tf.range(0, 3), tf.linspace(0, 1, 3)]),
  'tf.meshgrid': sample((a, b) => tf.meshgrid(a, b), floats([3]), floats([2])),
  'tf.linalg.bandPart': sample((x) => tf.linalg.bandPart(x, 1, 0), MATRIX),
  'tf.linalg.gramSchmidt': sample((x) => tf.linalg.gramSchmidt(x), floats([2, 3])),
  'tf.linalg.qr': sample((x) => tf.linalg.qr(x), floats([3, 2], 0.5, 2)),
  'tf.spectral.fft': sample(onComplex(tf.spectral.fft), ...complex),
  'tf.spectral.ifft': sample(onComplex(tf.spectral.ifft), ...complex),
  'tf.spectral.rfft': sample((x) => parts(tf.spectral.rfft(x, 6)), MATRIX),
  'tf.spectral.irfft': sample((re, im) => tf.spectral.irfft(tf.complex(re, im)), ...complex),
  'tf.signal.hammingWindow': sample(() => tf.signal.hammingWindow(6)),
  'tf.signal.hannWindow': sample(() => tf.signal.hannWindow(6)),
  'tf.signal.frame': sample((x) => tf.signal.frame(x, 3, 2), floats([9])),
  'tf.signal.stft': sample((x) => parts(tf.signal.stft(x, 4, 2)), floats([10])),
  'tf.sparse.sparseSegmentSum': sample(
    (x, i) => tf.sparse.sparseSegmentSum(x, i, tf.tensor1d([0, 0, 2], 'int32')),
    MATRIX,
    { ...INDICES, shape: [3] },
  ),
  'tf.sparse.sparseSegmentMean': sample(
    (x, i) => tf.sparse.sparseSegmentMean(x, i, tf.tensor1d([0, 0, 2], 'int32')),
    MATRIX,
    { ...INDICES, shape: [3] },
  ),
  'tf.math.confusionMatrix': sample(
    (a, b) => tf.math.confusionMatrix(a, b, 3),
    ints([5], 0, 3),
    ints([5], 0, 3, 4),
  ),
  'tf.broadcastArgs': unsupported((a, b) => tf.broadcastArgs(a, b), ints([2], 3, 4), ints([2], 3, 4)),
  'tf.sparse.sparseFillEmptyRows': refusedTrace(
    (i, v) => tf.sparse.sparseFillEmptyRows(i, v, [4, 4], 0),
    ints([3, 2], 0, 3),
    floats([3]),
  ),
  'tf.sparse.sparseReshape': refusedTrace(
    (i) => tf.sparse.sparseReshape(i, [4, 4], [2, 8]),
    ints([3, 2], 0, 3),
  ),
  'tf.raggedGather': refusedTrace(
    (x, i) => tf.raggedGather([tf.tensor1d([0, 1, 3], 'int32')], x, i, 1),
    MATRIX,
    { ...ints([1], 0, 1), shape: [1] },
  ),
  'tf.raggedRange': refusedTrace(
    (x) => tf.raggedRange(x, tf.tensor1d([5, 5]), tf.tensor1d([1, 1])),
    floats([2]),
  ),
  'tf.raggedTensorToTensor': refusedTrace(
    (x) =>
      tf.raggedTensorToTensor(
        tf.tensor1d([2, 2], 'int32'),
        x,
        tf.scalar(0),
        [tf.tensor1d([0, 3], 'int32')],
        ['ROW_SPLITS'],
      ),
    floats([3]),
  ),
  'tf.unique': refusedTrace((x) => tf.unique(x), floats([3])),
  'tf.string.stringNGrams': unsupported(() =>
    tf.string.stringNGrams(strings(), tf.tensor1d([0, 2], 'int32'), '|', [2], '', '', 0, false),
  ),
  'tf.string.stringSplit': unsupported(() => tf.string.stringSplit(strings(), ' ')),
  'tf.string.stringToHashBucketFast': unsupported(() => tf.string.stringToHashBucketFast(strings(), 10)),
  'tf.string.staticRegexReplace': unsupported(() => tf.string.staticRegexReplace(strings(), 'a', 'b')),
};
