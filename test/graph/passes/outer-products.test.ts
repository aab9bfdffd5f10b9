import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/graph/builder.js';
import { evaluateGraph } from '../../../src/graph/evaluate.js';
import { multiplyOuterProducts } from '../../../src/graph/passes/index.js';
import { printGraph } from '../../../src/graph/print.js';

/** A product of the given operand shapes. */
function product(a: number[], b: number[], transposeA: boolean, transposeB: boolean) {
  const builder = new GraphBuilder();
  const x = builder.input('value', 'a', a, 'float32');
  const y = builder.input('value', 'b', b, 'float32');
  const node = builder.add({ name: 'matMul', transposeA, transposeB }, [x, y]);
  return builder.build([{ path: 'c', node }]);
}

const fill = (shape: number[], phase: number) =>
  Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) => Math.sin(phase + i));

describe('multiplyOuterProducts', () => {
  it.each([
    [[3, 1], [1, 4], false, false],
    [[1, 3], [1, 4], true, false],
    [[3, 1], [4, 1], false, true],
    [[1, 3], [4, 1], true, true],
    [[2, 1, 3], [1, 4], true, false],
    [[5, 1, 3, 1], [2, 1, 4], false, false],
  ])('multiplies %j by %j, transposed %s %s', (a, b, transposeA, transposeB) => {
    const graph = product(a, b, transposeA, transposeB);
    const after = multiplyOuterProducts(graph);
    expect(after.nodes.some(({ op }) => op.name === 'matMul')).toBe(false);
    const values = { a: fill(a, 0.3), b: fill(b, 1.9) };
    const run = (g: typeof graph) => evaluateGraph(g, values);
    expect(run(after)).toEqual(run(graph));
  });

  it('leaves products with a sum as they are', () => {
    const graph = product([3, 2], [2, 4], false, false);
    expect(printGraph(multiplyOuterProducts(graph))).toBe(printGraph(graph));
  });
});
