/** Functions (one copy of a graph) on every device: random ops against the float64 reference, and what calls promise. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeviceDriver, FunctionSpec, LeafSpec, LoadedFunction } from '../../src/device/driver.js';
import { DisposedError, OptionError, ShapeError } from '../../src/errors.js';
import { GraphBuilder } from '../../src/graph/builder.js';
import { evaluateNode } from '../../src/graph/evaluate.js';
import type { Graph, TypedArray } from '../../src/graph/graph.js';
import { printNode } from '../../src/graph/print.js';
import { fillNormal } from '../../src/random/index.js';
import { randomPrograms } from '../graph/random-graph.js';
import { difference } from './compare.js';
import { DEVICES } from './devices.js';
import { isOutOfScope, singleOps } from './single-ops.js';

function specOf(graph: Graph, donations?: FunctionSpec['donations']): FunctionSpec {
  const inputs: LeafSpec[] = graph.nodes.flatMap(({ op, shape, dtype }) =>
    op.name === 'input' ? [{ path: op.path, shape, dtype }] : [],
  );
  const outputs = graph.outputs.map(({ path, node }) => {
    const { shape, dtype } = graph.nodes[node];
    return { path, shape, dtype };
  });
  return { graph, inputs, outputs, donations };
}

/** (w [4], g [4], on: bool) -> w - g (in place of w where donated), the sum of w, not on. */
function descent(): Graph {
  const b = new GraphBuilder();
  const w = b.input('value', 'w', [4], 'float32');
  const g = b.input('value', 'g', [4], 'float32');
  const on = b.input('value', 'on', [2], 'bool');
  return b.build([
    { path: 'w', node: b.add({ name: 'sub' }, [w, g]) },
    { path: 'sum', node: b.add({ name: 'sum', axes: [0], keepDims: false }, [w]) },
    { path: 'off', node: b.add({ name: 'logicalNot' }, [on]) },
  ]);
}

for (const { name, open } of DEVICES) {
  describe(`on ${name}`, () => {
    let driver: DeviceDriver;
    beforeAll(async () => {
      driver = await open();
    });
    afterAll(async () => {
      await driver.dispose();
    });

    it('every core op by itself, on operands with NaN, infinities, zeros and empty axes', () => {
      fc.assert(
        fc.property(randomPrograms, (program) => {
          const { graph, valuesOf } = singleOps(program);
          const spec = specOf(graph);
          const values = valuesOf(0);
          const fn = driver.loadFunction(spec);
          const results = fn.callSync({ inputs: spec.inputs.map(({ path }) => values[path]) });
          fn.dispose();
          graph.outputs.forEach(({ node }, i) => {
            const operands = graph.nodes[node].inputs.map((id) => {
              const { op, shape, dtype } = graph.nodes[id];
              const own = op.name === 'input' ? values[op.path] : (op as { values: TypedArray }).values;
              return { shape, dtype, values: own };
            });
            if (operands.some((operand) => isOutOfScope(graph.nodes[node].op.name, operand.values))) return;
            const wanted = evaluateNode(graph.nodes[node], operands);
            const tolerance = { relative: 1e-5, absolute: 2e-6 };
            const wrong = difference({ ...wanted, values: results[i] }, wanted, tolerance);
            if (wrong) {
              const shown = operands.map(({ shape, values: v }) => `[${shape}] ${[...v].slice(0, 12)}`);
              expect.fail(`${printNode(graph.nodes[node])}: ${wrong}\n${shown.join('\n')}`);
            }
          });
        }),
        { numRuns: 120, seed: 61 },
      );
    });

    describe('a call', () => {
      let fn: LoadedFunction;
      const inputs = () => [
        Float32Array.of(1, 2, 3, 4),
        Float32Array.of(0.5, 0.5, 1, 1),
        Uint8Array.of(1, 0),
      ];
      const wanted = [Float32Array.of(0.5, 1.5, 2, 3), Float32Array.of(10), Uint8Array.of(0, 1)];
      beforeAll(() => {
        fn = driver.loadFunction(specOf(descent(), [[0, 0]]));
      });
      afterAll(() => fn.dispose());

      it('returns arrays of the outputs’ types, sync and async', async () => {
        expect(fn.callSync({ inputs: inputs() })).toEqual(wanted);
        expect(await fn.call({ inputs: inputs() })).toEqual(wanted);
      });

      it('leaves inputs that are not donated as they are', () => {
        const given = inputs();
        fn.callSync({ inputs: given });
        expect(given.slice(1)).toEqual(inputs().slice(1));
      });

      it('writes to the arrays that it is given, also to the donated one itself', () => {
        const given = inputs();
        const sum = new Float32Array(1);
        const outputs = fn.callSync({ inputs: given, into: [given[0], sum] });
        expect(outputs).toEqual(wanted);
        expect(outputs[0]).toBe(given[0]);
        expect(outputs[1]).toBe(sum);
        const apart = new Float32Array(4);
        expect(fn.callSync({ inputs: inputs(), into: [apart] })[0]).toBe(apart);
        expect(apart).toEqual(wanted[0]);
      });

      it('copies inputs of an async call at once', async () => {
        const given = inputs();
        const pending = fn.call({ inputs: given });
        given[1].fill(99);
        given[2].fill(1);
        expect(await pending).toEqual(wanted);
      });

      it('refuses wrong numbers, kinds and lengths of arrays by name', () => {
        const [w, g, on] = inputs();
        expect(() => fn.callSync({ inputs: [w, g] })).toThrow(ShapeError);
        expect(() => fn.callSync({ inputs: [w, Int32Array.of(1, 2, 3, 4), on] })).toThrow(
          /"g".*Float32Array/,
        );
        expect(() => fn.callSync({ inputs: [w, new Float32Array(3), on] })).toThrow(/"g".*4 elements/);
        expect(() => fn.callSync({ inputs: [w, g, on], into: [undefined, new Float32Array(2)] })).toThrow(
          /"sum"/,
        );
        expect(() => fn.callSync({ inputs: [w, g, on], step: -1 })).toThrow(OptionError);
      });
    });

    it('draws what seed and step say', () => {
      const b = new GraphBuilder();
      const draw = b.add({ name: 'random', kind: { distribution: 'normal' }, share: 'all', draw: 3 }, [], {
        shape: [6],
      });
      const fn = driver.loadFunction(specOf(b.build([{ path: 'y', node: draw }])));
      for (const [seed, step] of [
        [undefined, undefined],
        [7, 2],
        [2 ** 40 + 5, 2 ** 32 - 1],
      ] as const) {
        const want = new Float32Array(6);
        fillNormal(want, { seed: seed ?? 0, stream: 0, draw: 3, step: step ?? 0, subject: 0 });
        const [got] = fn.callSync({ inputs: [], seed, step });
        got.forEach((x, i) => {
          expect(Math.abs(x - want[i])).toBeLessThan(2e-6);
        });
      }
      fn.dispose();
    });

    it('refuses donations between different types, and calls after disposal', () => {
      expect(() => driver.loadFunction(specOf(descent(), [[0, 1]]))).toThrow(OptionError);
      const fn = driver.loadFunction(specOf(descent()));
      expect(fn.plan()).toMatchObject({ device: driver.kind });
      fn.dispose();
      fn.dispose();
      expect(() => fn.callSync({ inputs: [] })).toThrow(DisposedError);
    });
  });
}
