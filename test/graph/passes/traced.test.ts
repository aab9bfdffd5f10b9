import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { evaluateGraph } from '../../../src/graph/evaluate.js';
import { sizeOf } from '../../../src/graph/graph.js';
import { optimize } from '../../../src/graph/passes/index.js';
import { trace } from '../../../src/trace/trace.js';

const LEAVES = [
  { role: 'data', path: 'x', shape: [16, 64] },
  { role: 'data', path: 'y', shape: [16, 10] },
  { role: 'state', path: 'w1', shape: [64, 32] },
  { role: 'state', path: 'b1', shape: [32] },
  { role: 'state', path: 'w2', shape: [32, 10] },
  { role: 'state', path: 'b2', shape: [10] },
  { role: 'theta', path: 'rate', shape: [] },
] as const;

it('an SGD step of an MLP keeps its products and loses what tracing and gradients leave around them', () => {
  const traced = trace(
    ([x, y, w1, b1, w2, b2, rate]) => {
      const loss = (v1: tf.Tensor, c1: tf.Tensor, v2: tf.Tensor, c2: tf.Tensor) => {
        const hidden = tf.relu(tf.add(tf.matMul(x as tf.Tensor2D, v1 as tf.Tensor2D), c1));
        const logits = tf.add(tf.matMul(hidden as tf.Tensor2D, v2 as tf.Tensor2D), c2);
        return tf.losses.softmaxCrossEntropy(y, logits) as tf.Scalar;
      };
      const { value, grads } = tf.valueAndGrads(loss as never)([w1, b1, w2, b2]);
      return [...[w1, b1, w2, b2].map((w, i) => tf.sub(w, tf.mul(rate, grads[i]))), value];
    },
    { inputs: LEAVES.map((leaf) => ({ ...leaf, dtype: 'float32' as const })), name: 'an SGD step' },
  );
  const graph = optimize(traced.graph);
  const count = (name: string) => graph.nodes.filter(({ op }) => op.name === name).length;
  expect(graph.nodes.length).toBeLessThan(traced.graph.nodes.length);
  expect(graph.nodes.length).toBeLessThanOrEqual(47);
  // One exponential serves the loss and its gradient.
  expect(count('exp')).toBe(1);
  expect(count('matMul')).toBe(5);
  // No ones, tiles or casts; biases and the learning rate broadcast implicitly.
  for (const name of ['broadcastTo', 'cast', 'concat', 'div']) expect(count(name)).toBe(0);
  const inputs = Object.fromEntries(
    LEAVES.map(({ path, shape }, k) => [
      path,
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1 + i * (k + 1))),
    ]),
  );
  const wanted = evaluateGraph(traced.graph, inputs);
  expect(evaluateGraph(optimize(traced.graph, { exact: true }), inputs)).toEqual(wanted);
  for (const [path, { values }] of Object.entries(evaluateGraph(graph, inputs)))
    values.forEach((x, i) => {
      expect(Math.abs(x - wanted[path].values[i])).toBeLessThan(2e-7);
    });
});
