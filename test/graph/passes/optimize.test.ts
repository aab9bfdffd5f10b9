import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluateGraph, type Value } from '../../../src/graph/evaluate.js';
import type { Graph } from '../../../src/graph/graph.js';
import {
  foldConstants,
  mergeCommonSubexpressions,
  optimize,
  removeDeadCode,
  simplify,
} from '../../../src/graph/passes/index.js';
import { printGraph } from '../../../src/graph/print.js';
import { randomPrograms } from '../random-graph.js';

/** Same shape, dtype and bits; one NaN is as good as another. */
function sameValue(a: Value, b: Value): boolean {
  return (
    a.dtype === b.dtype &&
    a.shape.join() === b.shape.join() &&
    a.values.length === b.values.length &&
    Array.from(a.values).every((v, i) => Object.is(v, b.values[i]))
  );
}

function checkPass(pass: (graph: Graph) => Graph): void {
  fc.assert(
    fc.property(randomPrograms, ({ graph, inputs }) => {
      const before = evaluateGraph(graph, inputs);
      const after = evaluateGraph(pass(graph), inputs);
      expect(Object.keys(after)).toEqual(Object.keys(before));
      for (const path of Object.keys(before)) {
        if (!sameValue(before[path], after[path])) {
          expect.fail(
            `${path}: ${JSON.stringify(Array.from(before[path].values, String))} became ` +
              `${JSON.stringify(Array.from(after[path].values, String))}\n${printGraph(graph)}\n--\n${printGraph(pass(graph))}`,
          );
        }
      }
    }),
    { numRuns: 3000, seed: 20240611 },
  );
}

describe('every pass keeps the value of every output, bit for bit, on random graphs', () => {
  it('dead code', () => checkPass(removeDeadCode));
  it('common subexpressions', () => checkPass(mergeCommonSubexpressions));
  it('constant folding', () => checkPass(foldConstants));
  it('simplification', () => checkPass(simplify));
  it('the whole pipeline', () => checkPass((graph) => optimize(graph, { exact: true })));
});

describe('optimize', () => {
  it('is idempotent', () => {
    fc.assert(
      fc.property(randomPrograms, ({ graph }) => {
        const once = optimize(graph);
        expect(printGraph(optimize(once))).toBe(printGraph(once));
      }),
      { numRuns: 500, seed: 7 },
    );
  });

  it('never makes a graph bigger than twice its size', () => {
    fc.assert(
      fc.property(randomPrograms, ({ graph }) => {
        expect(optimize(graph).nodes.length).toBeLessThanOrEqual(2 * graph.nodes.length);
      }),
      { numRuns: 500, seed: 8 },
    );
  });
});
