/** Reference arithmetic of convolutions and pooling: float64 accumulators, rounded once at the end. */
import type { Value } from './evaluate-value.js';
import type { GraphNode, Op, Shape, Window } from './graph.js';
import { sizeOf } from './graph.js';

type ConvOp = Extract<Op, { readonly depthwise: boolean }>;
type PoolOp = Exclude<Extract<Op, { readonly window: Window }>, ConvOp>;
/** Rows count positions, without channels: of the image [N, D, H, W], of the windows [N, OD, OH, OW], within the window. */
type Visit = (imageRow: number, windowRow: number, element: number) => void;

/** Every pair of a window and an element of it that lies inside the image: windows in order, each in row-major order. */
function eachPosition(window: Window, image: Shape, windows: Shape, visit: Visit): void {
  const { size, strides, dilations, padBefore } = window;
  /** Along one axis: the position that element `k` of window `o` reads, or -1. */
  const at = (axis: number, o: number, k: number) => {
    const position = o * strides[axis]! - padBefore[axis]! + k * dilations[axis]!;
    return position >= 0 && position < image[axis + 1]! ? position : -1;
  };
  let windowRow = 0;
  for (let n = 0; n < windows[0]!; n++)
    for (let od = 0; od < windows[1]!; od++)
      for (let oh = 0; oh < windows[2]!; oh++)
        for (let ow = 0; ow < windows[3]!; ow++, windowRow++) {
          let element = -1;
          for (let kd = 0; kd < size[0]; kd++)
            for (let kh = 0; kh < size[1]; kh++)
              for (let kw = 0; kw < size[2]; kw++) {
                element++;
                const [d, h, w] = [at(0, od, kd), at(1, oh, kh), at(2, ow, kw)];
                if (d < 0 || h < 0 || w < 0) continue;
                visit(((n * image[1]! + d) * image[2]! + h) * image[3]! + w, windowRow, element);
              }
        }
}

function rounded(node: GraphNode, values: Float64Array): Value {
  return { shape: node.shape, dtype: 'float32', values: Float32Array.from(values) };
}

/**
 * conv, convInputGrad and convFilterGrad: all are the sum over windows, elements, channels c and f of x * filter * y with one of the three left
 * out, which is the result.
 */
export function evaluateConv(node: GraphNode, op: ConvOp, first: Value, second: Value): Value {
  const [x, filter, y] =
    op.name === 'conv'
      ? [first, second, node]
      : op.name === 'convInputGrad'
        ? [node, second, first]
        : [first, node, second];
  const [channels, perFilter] = filter.shape.slice(3) as [number, number];
  const outputs = y.shape[4]!;
  const sums = new Float64Array(sizeOf(node.shape));
  const a = first.values;
  const b = second.values;
  eachPosition(op.window, x.shape, y.shape, (imageRow, windowRow, element) => {
    for (let c = 0; c < channels; c++) {
      const inX = imageRow * channels + c;
      for (let f = 0; f < perFilter; f++) {
        const inFilter = (element * channels + c) * perFilter + f;
        const inY = windowRow * outputs + (op.depthwise ? c * perFilter + f : f);
        if (op.name === 'conv') sums[inY]! += a[inX]! * b[inFilter]!;
        else if (op.name === 'convInputGrad') sums[inX]! += a[inY]! * b[inFilter]!;
        else sums[inFilter]! += a[inX]! * b[inY]!;
      }
    }
  });
  return rounded(node, sums);
}

/** windowMax, windowSum and their gradients. */
export function evaluatePool(node: GraphNode, op: PoolOp, inputs: readonly Value[]): Value {
  const x = inputs[0]!;
  const channels = node.shape[4]!;
  if (op.name === 'windowMax' || op.name === 'windowSum') {
    const isMax = op.name === 'windowMax';
    const result = new Float64Array(sizeOf(node.shape)).fill(isMax ? Number.NEGATIVE_INFINITY : 0);
    eachPosition(op.window, x.shape, node.shape, (imageRow, windowRow) => {
      for (let c = 0; c < channels; c++) {
        const value = x.values[imageRow * channels + c]!;
        const at = windowRow * channels + c;
        result[at] = isMax ? Math.max(result[at]!, value) : result[at]! + value;
      }
    });
    return rounded(node, result);
  }
  const result = new Float64Array(sizeOf(node.shape));
  const dy = inputs[inputs.length - 1]!;
  if (op.name === 'windowSumGrad') {
    eachPosition(op.window, node.shape, dy.shape, (imageRow, windowRow) => {
      for (let c = 0; c < channels; c++)
        result[imageRow * channels + c]! += dy.values[windowRow * channels + c]!;
    });
    return rounded(node, result);
  }
  /** Where each window has its maximum; -1 while it has none. */
  const best = new Int32Array(sizeOf(dy.shape)).fill(-1);
  eachPosition(op.window, x.shape, dy.shape, (imageRow, windowRow) => {
    for (let c = 0; c < channels; c++) {
      const candidate = imageRow * channels + c;
      const at = windowRow * channels + c;
      const value = x.values[candidate]!;
      const holder = best[at]! < 0 ? undefined : x.values[best[at]!]!;
      const better = holder === undefined || value > holder || (Number.isNaN(value) && !Number.isNaN(holder));
      if (better) best[at] = candidate;
    }
  });
  best.forEach((position, at) => {
    if (position >= 0) result[position]! += dy.values[at]!;
  });
  return rounded(node, result);
}
