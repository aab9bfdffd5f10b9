/** Which tfjs kernels each core op is made of, so that a program can be refused by a backend before it runs. */
import * as tf from '@tensorflow/tfjs';
import type { Graph, OpName } from '../../graph/graph.js';

/** What window ops take images apart with. */
const SLICES = ['Slice', 'PadV2', 'Concat', 'AddN'] as const;
const CONVOLUTIONS = [
  ...SLICES,
  'Conv2D',
  'DepthwiseConv2dNative',
  'BatchMatMul',
  'Multiply',
  'Sum',
  'Transpose',
  'Add',
];
const MAXIMA = [...SLICES, 'Maximum', 'IsNan'];

const DIFFERENT_NAME: Readonly<Partial<Record<OpName, readonly string[]>>> = {
  // On the host.
  argSort: [],
  cholesky: ['Add'],
  symmetricEigen: ['Add'],
  triangularSolve: ['Add'],
  conv: CONVOLUTIONS,
  convFilterGrad: CONVOLUTIONS,
  convInputGrad: CONVOLUTIONS,
  windowMax: MAXIMA,
  windowMaxGrad: [...MAXIMA, 'Equal', 'Greater', 'Add', 'LogicalAnd', 'LogicalNot', 'LogicalOr', 'ZerosLike'],
  windowSum: SLICES,
  windowSumGrad: SLICES,
  bitwiseAnd: ['BitwiseAnd', 'Add'],
  broadcastTo: ['Add', 'LogicalOr'],
  cast: ['Cast', 'NotEqual', 'Select', 'IsNan'],
  clip: ['Maximum', 'Minimum', 'Select', 'IsNan'],
  concat: ['Concat', 'Add'],
  constant: [],
  div: ['RealDiv'],
  floorDiv: ['FloorDiv', 'Floor', 'RealDiv', 'Mod', 'Round', 'Sub', 'IsFinite', 'Select', 'Equal'],
  gather: ['GatherV2', 'Maximum', 'Minimum', 'NotEqual', 'Select', 'Transpose', 'Add', 'Multiply'],
  input: [],
  iota: [],
  isNan: ['IsNan'],
  matMul: ['BatchMatMul', 'Add'],
  maximum: ['Maximum', 'Select', 'IsNan'],
  minimum: ['Minimum', 'Select', 'IsNan'],
  mod: ['Mod', 'Select', 'Equal'],
  mul: ['Multiply'],
  pad: ['Concat'],
  pow: ['Pow', 'Select', 'IsNan', 'IsInf', 'Abs', 'Equal', 'Less', 'LogicalAnd', 'LogicalOr'],
  random: [],
  segmentSum: ['ScatterNd', 'Slice', 'Select', 'GreaterEqual', 'Less', 'LogicalAnd', 'Add', 'Multiply'],
  select: ['Select', 'LogicalAnd', 'LogicalOr', 'LogicalNot'],
  relu: ['Relu', 'Select', 'IsNan'],
  sign: ['Sign', 'Select', 'IsNan', 'Greater', 'Less', 'Sub', 'Cast'],
  slice: ['Slice', 'GatherV2'],
};

/** What everything uses. */
const ALWAYS: readonly string[] = ['Identity', 'Reshape', 'Fill', 'Select', 'Tile'];

function kernelsOf(name: OpName): readonly string[] {
  return DIFFERENT_NAME[name] ?? [name[0].toUpperCase() + name.slice(1)];
}

/** The kernels that the graphs need and the backend lacks. */
export function missingKernels(graphs: readonly Graph[], backend: string): string[] {
  const needed = new Set(ALWAYS);
  for (const { nodes } of graphs)
    for (const { op } of nodes) for (const k of kernelsOf(op.name)) needed.add(k);
  return [...needed].filter((kernel) => tf.getKernel(kernel, backend) === undefined).sort();
}
