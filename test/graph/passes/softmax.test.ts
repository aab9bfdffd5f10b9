import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/graph/builder.js';
import { evaluateGraph } from '../../../src/graph/evaluate.js';
import type { Graph } from '../../../src/graph/graph.js';
import { optimize, reuseExponentials, shareRelu } from '../../../src/graph/passes/index.js';
import { printGraph } from '../../../src/graph/print.js';
import { trace } from '../../../src/trace/trace.js';

const count = (graph: Graph, op: string) => graph.nodes.filter((n) => n.op.name === op).length;

/** Gradient of a cross-entropy with respect to its logits, by two routes through tfjs. */
const losses: Record<string, (z: tf.Tensor, y: tf.Tensor) => tf.Scalar> = {
  logSoftmax: (z, y) => tf.neg(tf.mean(tf.sum(tf.mul(y, tf.logSoftmax(z)), -1))),
  softmaxCrossEntropy: (z, y) => tf.losses.softmaxCrossEntropy(y, z) as tf.Scalar,
};

describe.each(Object.keys(losses))('the gradient of %s', (name) => {
  const input = (path: string) => ({ role: 'value', path, shape: [4, 3], dtype: 'float32' }) as const;
  const { graph } = trace(([z, y]) => tf.grad((x) => losses[name](x, y))(z), {
    inputs: [input('z'), input('y')],
  });
  const optimized = optimize(graph);

  it('takes one exponential', () => {
    expect(count(graph, 'exp')).toBeGreaterThan(1);
    expect(count(optimized, 'exp')).toBe(1);
  });

  it('is (softmax - y) / rows, also far from zero and with infinite logits', () => {
    const z = Float32Array.of(1, 2, 3, -500, 400, 399, 0, Number.NEGATIVE_INFINITY, 1, 1e-3, -2e-3, 5);
    const y = Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0);
    const { values } = evaluateGraph(optimized, { z, y }).value;
    for (let row = 0; row < 4; row++) {
      const logits = [...z.subarray(3 * row, 3 * row + 3)];
      const top = Math.max(...logits);
      const e = logits.map((x) => Math.exp(x - top));
      const sum = e.reduce((a, b) => a + b, 0);
      for (let j = 0; j < 3; j++) {
        const wanted = (e[j] / sum - y[3 * row + j]) / 4;
        expect(Math.abs(values[3 * row + j] - wanted)).toBeLessThan(1e-7);
      }
    }
  });
});

describe('reuseExponentials', () => {
  it('leaves an exponential that no maximum bounds as it is', () => {
    const b = new GraphBuilder();
    const x = b.input('value', 'x', [3], 'float32');
    const sum = b.add({ name: 'sum', axes: [0], keepDims: true }, [b.add({ name: 'exp' }, [x])]);
    const p = b.add({ name: 'exp' }, [b.add({ name: 'sub' }, [x, b.add({ name: 'log' }, [sum])])]);
    const graph = b.build([{ path: 'p', node: p }]);
    expect(printGraph(reuseExponentials(graph))).toBe(printGraph(graph));
  });
});

describe('shareRelu', () => {
  it('takes the mask of a ReLU from its result, with the same bits', () => {
    const b = new GraphBuilder();
    const x = b.input('value', 'x', [6], 'float32');
    const relu = b.add({ name: 'relu' }, [x]);
    const mask = b.add({ name: 'step', alpha: 0.25 }, [x]);
    const graph = b.build([
      { path: 'relu', node: relu },
      { path: 'mask', node: mask },
    ]);
    const shared = shareRelu(graph);
    expect(printGraph(shared)).toContain('%2 = step(%1)');
    const values = Float32Array.of(1, -1, 0, -0, Number.NaN, Number.POSITIVE_INFINITY);
    expect(evaluateGraph(shared, { x: values })).toEqual(evaluateGraph(graph, { x: values }));
  });
});
