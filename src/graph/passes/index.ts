/** The pipeline of graph passes. */
import type { Graph } from '../graph.js';
import { formatAttributes } from '../print.js';
import { mergeCommonSubexpressions, sameBits } from './common-subexpressions.js';
import { type FoldingLimits, foldConstants } from './constant-folding.js';
import { removeDeadCode } from './dead-code.js';
import { multiplyRepeatedSums } from './repeated-sums.js';
import { reuseExponentials } from './reuse-exponentials.js';
import { shareRelu } from './share-relu.js';
import { simplify } from './simplify.js';
import { dropStructuralZeros } from './structural-zeros.js';

export { mergeCommonSubexpressions } from './common-subexpressions.js';
export { type FoldingLimits, foldConstants } from './constant-folding.js';
export { removeDeadCode } from './dead-code.js';
export { analyseInvariants, type InvariantLevel } from './invariants.js';
export { multiplyRepeatedSums } from './repeated-sums.js';
export { reuseExponentials } from './reuse-exponentials.js';
export { shareRelu } from './share-relu.js';
export { simplify } from './simplify.js';
export { dropStructuralZeros } from './structural-zeros.js';
export { analyseUniform } from './uniform.js';

export interface OptimizeOptions extends FoldingLimits {
  /** Most rounds of the pipeline. Default 8; a graph rarely needs more than three. */
  readonly maxRounds?: number;
  /**
   * Only passes that keep every bit; leaves out `dropStructuralZeros`, `multiplyRepeatedSums`
   * and `reuseExponentials`. Default false.
   */
  readonly exact?: boolean;
}

function sameGraph(a: Graph, b: Graph): boolean {
  return (
    a.nodes.length === b.nodes.length &&
    a.outputs.every(({ node }, i) => node === b.outputs[i].node) &&
    a.nodes.every((x, i) => {
      const y = b.nodes[i];
      if (x.op.name !== y.op.name || x.dtype !== y.dtype) return false;
      if (x.inputs.some((id, k) => id !== y.inputs[k]) || x.shape.some((d, k) => d !== y.shape[k]))
        return false;
      if (x.op.name === 'constant' && y.op.name === 'constant') return sameBits(x.op.values, y.op.values);
      return formatAttributes(x.op) === formatAttributes(y.op);
    })
  );
}

/**
 * The graph in its smallest form: dead code, simplification, constant folding and common subexpressions, repeated until nothing
 * changes. Outputs keep their paths, and their values bit for bit (as `evaluateGraph` computes them; which NaN is not promised), but for
 * what three passes are for, unless `exact`: softmax probabilities and sums of equal terms are rounded differently (`reuseExponentials`,
 * `multiplyRepeatedSums`), and structural zeros are taken for absent terms
 * (`dropStructuralZeros`).
 * Cost: a few times O(nodes).
 */
export function optimize(graph: Graph, options: OptimizeOptions = {}): Graph {
  const { maxRounds = 8, exact = false, ...limits } = options;
  let current = removeDeadCode(graph);
  for (let round = 0; round < maxRounds; round++) {
    const terms = exact ? current : dropStructuralZeros(current);
    const shared = shareRelu(simplify(terms));
    const reused = exact ? shared : multiplyRepeatedSums(reuseExponentials(shared));
    const next = removeDeadCode(mergeCommonSubexpressions(foldConstants(reused, limits)));
    if (sameGraph(current, next)) return next;
    current = next;
  }
  return current;
}
