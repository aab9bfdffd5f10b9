/** Random functions, and their gradients, on every device against eager tfjs. */
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeviceDriver } from '../../src/device/driver.js';
import { evaluateNode } from '../../src/graph/evaluate.js';
import { sizeOf, type TypedArray } from '../../src/graph/graph.js';
import { printNode } from '../../src/graph/print.js';
import { randomPrograms } from '../graph/random-graph.js';
import { difference, eager, type Fn, floats, ints, onDevice, type Tolerance } from './compare.js';
import { DEVICES } from './devices.js';
import { randomFunction } from './random-function.js';
import { runGraph } from './run-graph.js';
import { isOutOfScope, singleOps } from './single-ops.js';

const ARGS = [floats([3], -1, 1, 1), floats([3, 4], -1, 1, 2), floats([2, 3], -1, 1, 3), ints([2], 0, 3, 4)];
// Twelve ops, each rounding; gradients multiply their slopes.
const VALUE: Tolerance = { relative: 2e-5, absolute: 2e-5 };
const GRADIENT: Tolerance = { relative: 2e-4, absolute: 1e-4 };

beforeAll(async () => {
  await tf.setBackend('cpu');
});

for (const { name, open } of DEVICES) {
  describe(`on ${name}`, () => {
    let driver: DeviceDriver;
    beforeAll(async () => {
      driver = await open();
    });
    afterAll(async () => {
      await driver.dispose();
    });

    async function compare(fn: Fn, sharing: number, tolerance: Tolerance): Promise<void> {
      const shared = ARGS.map((_, i) => ((sharing >> i) & 1) === 1);
      const particles = 5;
      const results = await onDevice(driver, fn, ARGS, particles, shared);
      for (const p of [0, particles - 1]) {
        eager(fn, ARGS, p, shared).forEach((wanted, i) => {
          const wrong = difference(results[p][i], wanted, tolerance);
          if (wrong) expect.fail(`particle ${p}, shared ${shared}, result ${i}: ${wrong}`);
        });
      }
    }

    const tapes = fc.array(fc.nat(5039), { minLength: 8, maxLength: 60, size: 'max' });
    const sharings = fc.nat(15);

    it('random functions', async () => {
      await fc.assert(
        fc.asyncProperty(tapes, sharings, (words, sharing) => compare(randomFunction(words), sharing, VALUE)),
        { numRuns: 120, seed: 31 },
      );
    });

    it('gradients of random functions', async () => {
      await fc.assert(
        fc.asyncProperty(tapes, sharings, (words, sharing) => {
          const f = randomFunction(words);
          const gradients: Fn = (x, w, v, i) =>
            tf.grads((a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) => f(a, b, c, i) as tf.Tensor)([x, w, v]);
          return compare(gradients, sharing, GRADIENT);
        }),
        { numRuns: 80, seed: 32 },
      );
    });

    it('every core op by itself, on operands with NaN, infinities, zeros and empty axes', async () => {
      let k = 0;
      await fc.assert(
        fc.asyncProperty(randomPrograms, async (program) => {
          k++;
          const single = singleOps(program);
          const { nodes, outputs } = single.graph;
          const placement = Object.fromEntries(
            single.inputPaths.map((path, i) => [path, (i * 7 + k) % 3 === 0 ? 'data' : 'state'] as const),
          );
          const own = [0, 1, 2].map((p) => single.valuesOf(p));
          const inputs = own.map((values) =>
            Object.fromEntries(
              single.inputPaths.map((path) => [path, (placement[path] === 'data' ? own[0] : values)[path]]),
            ),
          );
          const results = await runGraph(driver, single.graph, placement, 3, (p) => inputs[p]);
          for (const { path, node } of outputs) {
            for (const p of [0, 1, 2]) {
              const operands = nodes[node].inputs.map((id) => {
                const { op, shape, dtype } = nodes[id];
                const values =
                  op.name === 'input' ? inputs[p][op.path] : (op as { values: TypedArray }).values;
                return { shape, dtype, values };
              });
              if (operands.some(({ values }) => isOutOfScope(nodes[node].op.name, values))) continue;
              const wanted = evaluateNode(nodes[node], operands);
              const wrong = difference({ ...wanted, values: results[path][p] }, wanted, {
                relative: 1e-5,
                absolute: 2e-6,
              });
              if (wrong) {
                const shown = operands.map(({ shape, values }) => `[${shape}] ${[...values].slice(0, 12)}`);
                expect.fail(`${printNode(nodes[node])}: ${wrong}\n${shown.join('\n')}`);
              }
              expect(results[path][p].length).toBe(sizeOf(wanted.shape));
            }
          }
        }),
        { numRuns: 150, seed: 33 },
      );
    });
  });
}
