/** Fused units can always be put in order: random graphs of values too big to be joined side by side, in three shapes that feed each other. */
import { expect, it } from 'vitest';
import { planFunction } from '../../../src/device/cpu/plan-function.js';
import { GraphBuilder } from '../../../src/graph/builder.js';
import type { Graph } from '../../../src/graph/graph.js';
import { generator } from '../../conformance/compare.js';

/** `length` random nodes: wide [20, 30], narrow [1, 30] and tall [20, 1] values, elementwise and reduced into each other. */
function randomGraph(seed: number, length: number): Graph {
  const next = generator(seed);
  const pick = (n: number) => Math.floor(next() * n);
  const b = new GraphBuilder();
  const wide = [b.input('value', 'a', [20, 30], 'float32'), b.input('value', 'b', [20, 30], 'float32')];
  const narrow = [b.add({ name: 'sum', axes: [0], keepDims: true }, [wide[0]!])];
  const tall = [b.add({ name: 'sum', axes: [1], keepDims: true }, [wide[1]!])];
  const pools = [wide, narrow, tall];
  const any = (p: number[]) => p[pick(p.length)]!;
  for (let i = 0; i < length; i++) {
    const pool = pools[pick(3)]!;
    const kind = pick(8);
    if (kind < 3)
      pool.push(b.add({ name: (['add', 'mul', 'maximum'] as const)[kind]! }, [any(pool), any(pool)]));
    else if (kind === 3) pool.push(b.add({ name: 'tanh' }, [any(pool)]));
    else if (kind === 4) wide.push(b.add({ name: 'add' }, [any(wide), any(narrow)]));
    else if (kind === 5) wide.push(b.add({ name: 'mul' }, [any(tall), any(wide)]));
    else if (kind === 6) narrow.push(b.add({ name: 'sum', axes: [0], keepDims: true }, [any(wide)]));
    else tall.push(b.add({ name: 'max', axes: [1], keepDims: true }, [any(wide)]));
  }
  const pool = wide;
  while (pool.length < 3) pool.push(b.add({ name: 'tanh' }, [any(pool)]));
  return b.build([1, 2, 3].map((i) => ({ path: String(i), node: wide.at(-i)! })));
}

// Where a group was joined to a later one and its readers were not, one graph in a hundred came out as a cycle.
it.each([20, 40, 80])('graphs of %i nodes are planned', (length) => {
  for (let seed = 1; seed <= 150; seed++) {
    const graph = randomGraph(1000 * length + seed, length);
    const leaf = (path: string) => ({ path, shape: [20, 30], dtype: 'float32' as const });
    const spec = {
      graph,
      inputs: ['a', 'b'].map(leaf),
      outputs: graph.outputs.map(({ path }) => leaf(path)),
    };
    expect(planFunction(spec, 2).text, `seed ${seed}`).toContain('=');
  }
});
