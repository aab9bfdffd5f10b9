/** Registration of the recording kernels with tfjs, once per process, under a backend name that nothing can select. */
import * as tf from '@tensorflow/tfjs';
import { ShapeError, UnrolledError } from '../errors.js';
import { callSite } from './frames.js';
import { BLOCKS } from './lower/blocks.js';
import { CONVOLUTIONS } from './lower/convolution.js';
import { DILATION, DILATION_TRANSPOSES } from './lower/dilation.js';
import { EINSUM } from './lower/einsum.js';
import { ELEMENTWISE } from './lower/elementwise.js';
import { FOURIER } from './lower/fourier.js';
import { IMAGES } from './lower/image.js';
import { LOCAL_RESPONSE } from './lower/local-response.js';
import type { KernelAttributes, KernelInputs, LoweringTable } from './lower/lowering.js';
import { POOLING, POOLING_TRANSPOSES } from './lower/pool.js';
import { REDUCTIONS } from './lower/reduce.js';
import { RESIZING } from './lower/resize.js';
import { SCATTER } from './lower/scatter.js';
import { SORT } from './lower/sort.js';
import { STRUCTURE } from './lower/structure.js';
import { type Recorder, runningOps } from './recorder.js';
import { refuseKernel } from './refusals.js';

/** Every kernel that can be traced. */
export const LOWERINGS: LoweringTable = {
  ...ELEMENTWISE,
  ...REDUCTIONS,
  ...STRUCTURE,
  ...BLOCKS,
  ...EINSUM,
  ...FOURIER,
  ...SCATTER,
  ...SORT,
  ...CONVOLUTIONS,
  ...POOLING,
  ...DILATION,
  ...LOCAL_RESPONSE,
  ...RESIZING,
  ...IMAGES,
};

/** Kernels of our own, which only gradients of gradients inside a trace run. */
const TRANSPOSES: LoweringTable = { ...POOLING_TRANSPOSES, ...DILATION_TRANSPOSES };

/** tfjs-core exports the name of each kernel under that very name. */
function knownKernels(): string[] {
  const exported = Object.entries(tf).filter(([name, value]) => name === value);
  return [
    ...new Set([...exported.map(([name]) => name), ...Object.keys(LOWERINGS), ...Object.keys(TRANSPOSES)]),
  ];
}

type TensorInput = tf.TensorInfo | null | undefined;

/** Names or positions to node ids; captured tensors become constants here. */
function resolveInputs(recorder: Recorder, inputs: Record<string, TensorInput>): KernelInputs {
  const resolved: Record<string, number | number[]> = { list: [] };
  const list: number[] = [];
  for (const [name, info] of Object.entries(inputs)) {
    if (!info) continue;
    const node = recorder.node(info);
    resolved[name] = node;
    list.push(node);
  }
  resolved.list = list;
  return resolved as unknown as KernelInputs;
}

/** Adds the tfjs op and the user's frame to a shape error that came from the core op's rule. */
function withCallSite(error: unknown, kernel: string): unknown {
  if (!(error instanceof ShapeError)) return error;
  const { frame } = callSite();
  const op = runningOps().at(-1);
  const where = frame ? ` (at ${frame})` : '';
  return new ShapeError(`tf.${op ?? kernel}: ${error.message}${where}`, { cause: error });
}

function record(
  kernel: string,
  recorder: Recorder,
  inputs: object,
  attributes: object,
): tf.TensorInfo[] | tf.TensorInfo {
  const lower = LOWERINGS[kernel] ?? TRANSPOSES[kernel];
  if (!lower) throw refuseKernel(kernel, runningOps().at(-1));
  let nodes: number | number[];
  try {
    const resolved = resolveInputs(recorder, inputs as Record<string, TensorInput>);
    nodes = lower(recorder.emitter, resolved, (attributes ?? {}) as KernelAttributes);
  } catch (error) {
    throw error instanceof UnrolledError ? withCallSite(error, kernel) : error;
  }
  return Array.isArray(nodes) ? nodes.map((node) => recorder.tensor(node)) : recorder.tensor(nodes);
}

let backendName: string | undefined;

/**
 * The name under which the kernels are registered; registers them at the first call. The backend itself is never registered: a
 * trace sets its recorder as the active backend for its own length, so that `tf.setBackend` and tfjs's choice of a
 * default cannot meet it.
 */
export function recordingBackendName(): string {
  if (backendName !== undefined) return backendName;
  // Two copies of this library in one process share the engine and its kernel registry: each takes its own name.
  let name = 'unrolled-trace';
  for (let i = 2; tf.getKernel('Identity', name); i++) name = `unrolled-trace-${i}`;
  for (const kernelName of knownKernels()) {
    tf.registerKernel({
      kernelName,
      backendName: name,
      kernelFunc: ({ inputs, attrs, backend }) =>
        record(kernelName, backend as Recorder, inputs, attrs as object),
    });
  }
  backendName = name;
  return name;
}
