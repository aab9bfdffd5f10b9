/** The common form of kernel lowerings: tfjs kernel in, nodes of the core op set out. */
import type { DType, Shape } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';

/** Node ids of a kernel's named inputs; a name that the kernel does not have is undefined at run time. */
export interface KernelInputs {
  readonly x: number;
  readonly a: number;
  readonly b: number;
  readonly t: number;
  readonly e: number;
  readonly condition: number;
  readonly input: number;
  readonly value: number;
  readonly logits: number;
  readonly dy: number;
  readonly y: number;
  readonly alpha: number;
  readonly indices: number;
  readonly segmentIds: number;
  readonly mean: number;
  readonly variance: number;
  readonly filter: number;
  readonly image: number;
  readonly images: number;
  readonly boxes: number;
  readonly boxInd: number;
  readonly transforms: number;
  readonly offset?: number;
  readonly scale?: number;
  readonly bias?: number;
  readonly preluActivationWeights?: number;
  readonly params: number;
  readonly tensor: number;
  readonly updates: number;
  readonly sparseIndices: number;
  readonly sparseValues: number;
  readonly defaultValue: number;
  readonly data: number;
  readonly sortedSequence: number;
  readonly values: number;
  readonly weights: number;
  readonly real: number;
  readonly imag: number;
  readonly numLower: number;
  readonly numUpper: number;
  readonly s0: number;
  readonly s1: number;
  /** All inputs in order, for kernels that take a list. */
  readonly list: readonly number[];
}

/** Attributes of kernels, each as tfjs-core gives it to the kernel that has it. */
export interface KernelAttributes {
  readonly axis: number | number[] | null;
  readonly reductionIndices: number | number[] | null;
  readonly keepDims: boolean;
  readonly dim: number;
  readonly dims: number | number[];
  readonly dtype: string;
  readonly shape: Shape;
  readonly perm: number[];
  readonly begin: number | number[];
  readonly size: number | number[];
  readonly end: number[];
  readonly strides: number[];
  readonly beginMask: number;
  readonly endMask: number;
  readonly ellipsisMask: number;
  readonly newAxisMask: number;
  readonly shrinkAxisMask: number;
  readonly numOrSizeSplits: number | number[];
  readonly paddings: [number, number][];
  readonly constantValue: number;
  readonly reps: number[];
  readonly batchDims: number | null;
  readonly numSegments: number;
  readonly depth: number;
  readonly onValue: number;
  readonly offValue: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
  readonly value: number | boolean | string;
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  readonly num: number;
  readonly alpha: number;
  readonly clipValueMin: number;
  readonly clipValueMax: number;
  readonly varianceEpsilon: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly activation: string;
  readonly leakyreluAlpha: number;
  readonly equation: string;
  readonly k: number;
  readonly sorted: boolean;
  readonly side: 'left' | 'right';
  readonly outputShape: Shape;
  readonly binaryOutput: boolean;
  readonly blockShape: number[];
  readonly blockSize: number;
  readonly crops: number[][];
  readonly dataFormat: string;
}

/** Emits the nodes of one kernel call and returns its output, or its outputs. */
export type Lowering = (e: Emitter, inputs: KernelInputs, attributes: KernelAttributes) => number | number[];

/** Lowerings by kernel name. */
export type LoweringTable = Readonly<Record<string, Lowering>>;

/** A dtype that the graph has; undefined for 'string' and 'complex64'. */
export function graphDType(dtype: string): DType | undefined {
  return dtype === 'float32' || dtype === 'int32' || dtype === 'bool' ? dtype : undefined;
}
