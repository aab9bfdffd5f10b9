/**
 * Einsum: any equation that tfjs reads (one or two operands, no label twice in one operand, no ellipsis) as transposes, reshapes
 * and one matrix product. Labels of one operand that the result lacks are summed first. Where tfjs itself leaves an operand out
 * (one that has none of the summed labels), this computes what the equation says.
 */
import * as tf from '@tensorflow/tfjs';
import { ShapeError } from '../../errors.js';
import { sizeOf } from '../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import type { LoweringTable } from './lowering.js';

/** An operand: a node whose axis i has the label `labels[i]`. */
interface Operand {
  readonly node: number;
  readonly labels: readonly number[];
}

/** Sums over the labels that nobody else needs. */
function sumUnneeded(e: Emitter, { node, labels }: Operand, needed: ReadonlySet<number>): Operand {
  const axes = labels.map((_, i) => i).filter((i) => !needed.has(labels[i]!));
  return {
    node: e.reduce('sum', node, axes, false),
    labels: labels.filter((label) => needed.has(label)),
  };
}

/** The operand with its axes in the order of `labels`. */
function arrange(e: Emitter, operand: Operand, labels: readonly number[]): number {
  return e.transpose(
    operand.node,
    labels.map((label) => operand.labels.indexOf(label)),
  );
}

/** Labels of the result of a contraction, and their sizes. */
function contract(e: Emitter, a: Operand, b: Operand, output: readonly number[]): Operand {
  const sizes = new Map<number, number>();
  for (const { node, labels } of [a, b]) {
    for (const [i, label] of labels.entries()) sizes.set(label, e.shape(node)[i]!);
  }
  const size = (labels: readonly number[]) => sizeOf(labels.map((label) => sizes.get(label)!));
  const shared = a.labels.filter((label) => b.labels.includes(label));
  const batch = output.filter((label) => shared.includes(label));
  const summed = shared.filter((label) => !output.includes(label));
  const rows = output.filter((label) => a.labels.includes(label) && !shared.includes(label));
  const columns = output.filter((label) => b.labels.includes(label) && !shared.includes(label));
  const labels = [...batch, ...rows, ...columns];

  if (summed.length === 0 || e.dtype(a.node) === 'int32') {
    // Elementwise, with axes of size 1 where only the other operand has one; whole numbers stay exact that way.
    const all = [...labels, ...summed];
    const spread = (operand: Operand) => {
      const own = all.filter((label) => operand.labels.includes(label));
      const stretched = all.map((label) => (operand.labels.includes(label) ? sizes.get(label)! : 1));
      return e.reshape(arrange(e, operand, own), stretched);
    };
    const products = e.binary('mul', spread(a), spread(b));
    const axes = summed.map((_, i) => labels.length + i);
    return { node: e.reduce('sum', products, axes, false), labels };
  }
  const left = e.reshape(arrange(e, a, [...batch, ...rows, ...summed]), [
    ...(batch.length > 0 ? [size(batch)] : []),
    size(rows),
    size(summed),
  ]);
  const right = e.reshape(arrange(e, b, [...batch, ...summed, ...columns]), [
    ...(batch.length > 0 ? [size(batch)] : []),
    size(summed),
    size(columns),
  ]);
  const product = e.add({ name: 'matMul', transposeA: false, transposeB: false }, [left, right]);
  return {
    node: e.reshape(
      product,
      labels.map((label) => sizes.get(label)!),
    ),
    labels,
  };
}

function einsum(e: Emitter, list: readonly number[], equation: string): number {
  const { allDims, summedDims, idDims } = tf.backend_util.decodeEinsumEquation(equation, list.length);
  const shapes = list.map((x) => ({ shape: e.shape(x).slice() }) as tf.Tensor);
  for (const [i, labels] of idDims.entries()) {
    if (labels.length !== shapes[i]!.shape.length) {
      throw new ShapeError(
        `einsum: the equation "${equation}" gives operand ${i} ${labels.length} axes, but its shape is [${shapes[i]!.shape}]`,
      );
    }
  }
  tf.backend_util.checkEinsumDimSizes(allDims.length, idDims, shapes);
  const output = allDims.map((_, label) => label).filter((label) => !summedDims.includes(label));
  const operands = e.widen(list.map((x) => e.numeric(x))).map((node, i) => ({ node, labels: idDims[i]! }));
  const reduced = operands.map((operand, i) => {
    const others = operands.flatMap(({ labels }, j) => (j === i ? [] : labels));
    return sumUnneeded(e, operand, new Set([...output, ...others]));
  });
  const [a, b] = reduced as [Operand, Operand | undefined];
  return arrange(e, b ? contract(e, a, b, output) : a, output);
}

export const EINSUM: LoweringTable = {
  Einsum: (e, { list }, { equation }) => einsum(e, list, equation),
};
