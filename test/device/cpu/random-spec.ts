/** Random unrolls for tests of planners and devices: every movement op, reductions, products, gathers; values kept bounded. */
import type { LeafSpec, UnrollSpec } from '../../../src/device/driver.js';
import { GraphBuilder } from '../../../src/graph/builder.js';
import { type Graph, type GraphOutput, type Op, sizeOf } from '../../../src/graph/graph.js';

export const leaf = (path: string, shape: number[], dtype: LeafSpec['dtype'] = 'float32'): LeafSpec => ({
  path,
  shape,
  dtype,
});

export function initGraph(state: readonly LeafSpec[], value: (i: number) => number): Graph {
  const b = new GraphBuilder();
  const outputs = state.map((s) => ({
    path: `state.${s.path}`,
    node: b.constant(
      Float32Array.from({ length: sizeOf(s.shape) }, (_, i) => value(i)),
      s.shape,
      s.dtype,
    ),
  }));
  return b.build(outputs);
}

/** Inputs that suit `randomSpec`: theta u [3], v []; data x [2, 3], ids [3]. */
export const RANDOM_DATA = { x: Float32Array.of(0.5, -1, 2, 0.25, 1, -0.5), ids: Int32Array.of(1, 0, 2) };

/** The unroll that a list of choices spells: a step over two state leaves, theta, data and t. */
export function randomSpec(choices: readonly number[]): UnrollSpec {
  let at = 0;
  const pick = (n: number) => choices[at++ % choices.length] % n;
  const state = [leaf('p', [2, 3]), leaf('q', [3])];
  const b = new GraphBuilder();
  const pool = [
    b.input('state', 'p', [2, 3], 'float32'),
    b.input('state', 'q', [3], 'float32'),
    b.input('theta', 'u', [3], 'float32'),
    b.input('theta', 'v', [], 'float32'),
    b.input('data', 'x', [2, 3], 'float32'),
    b.add({ name: 'cast' }, [b.input('t', 't', [], 'int32')], { dtype: 'float32' }),
    b.constant(Float32Array.of(0.5, -2, 1), [3], 'float32'),
  ];
  const ids = b.input('data', 'ids', [3], 'int32');
  const any = () => pool[pick(pool.length)];
  const shaped = (rank: number) => {
    const found = pool.filter((n) => b.node(n).shape.length === rank && sizeOf(b.node(n).shape) > 0);
    return found[pick(found.length)];
  };
  /** Through tanh, so that repeated products stay finite. */
  const keep = (n: number) => pool.push(b.add({ name: 'tanh' }, [n]));
  const broadcastable = (x: number, y: number) => {
    const [s, t] = [b.node(x).shape, b.node(y).shape];
    return s
      .slice()
      .reverse()
      .every((d, i) => i >= t.length || d === t[t.length - 1 - i] || d === 1 || t[t.length - 1 - i] === 1);
  };
  const moves: (() => void)[] = [
    () => {
      const [x, y] = [any(), any()];
      if (broadcastable(x, y))
        pool.push(b.add({ name: (['add', 'sub', 'mul', 'maximum', 'minimum'] as const)[pick(5)] }, [x, y]));
    },
    () => {
      const [x, y] = [any(), any()];
      if (!broadcastable(x, y)) return;
      const less = b.add({ name: 'less' }, [x, y]);
      pool.push(b.add({ name: 'select' }, [less, x, y]));
      pool.push(b.add({ name: 'cast' }, [less], { dtype: 'float32' }));
    },
    () =>
      pool.push(
        b.add({ name: (['neg', 'square', 'sigmoid', 'sin', 'relu', 'abs'] as const)[pick(6)] }, [any()]),
      ),
    () => {
      const x = shaped(2);
      pool.push(b.add({ name: 'transpose', perm: [1, 0] }, [x]));
    },
    () => {
      const x = any();
      pool.push(b.add({ name: 'reshape' }, [x], { shape: [sizeOf(b.node(x).shape)] }));
    },
    () => {
      const x = shaped(1);
      const n = sizeOf(b.node(x).shape);
      pool.push(b.add({ name: 'slice', begin: [n - 1], strides: [-1] }, [x], { shape: [n] }));
    },
    () => {
      const x = shaped(1);
      pool.push(b.add({ name: 'broadcastTo' }, [x], { shape: [2, sizeOf(b.node(x).shape)] }));
    },
    () => {
      const x = shaped(2);
      const axis = pick(2);
      keep(
        b.add(
          { name: (['sum', 'max', 'min', 'prod'] as const)[pick(4)], axes: [axis], keepDims: pick(2) === 0 },
          [x],
        ),
      );
    },
    () => {
      const [x, y] = [shaped(2), shaped(2)];
      const [transposeA, transposeB] = [pick(2) === 0, pick(2) === 0];
      const k = b.node(x).shape[transposeA ? 0 : 1];
      if (
        b.node(y).shape[transposeB ? 1 : 0] !== k ||
        sizeOf(b.node(x).shape) > 40 ||
        sizeOf(b.node(y).shape) > 40
      )
        return;
      keep(b.add({ name: 'matMul', transposeA, transposeB }, [x, y]));
    },
    () => {
      const x = shaped(2);
      if (b.node(x).shape[1] > 9) return;
      pool.push(b.add({ name: 'concat', axis: 1 }, [x, x]));
    },
    () =>
      pool.push(
        b.add(
          {
            name: 'pad',
            paddings: [
              [1, 0],
              [0, 2],
            ],
            value: 0.5,
          },
          [b.add({ name: 'slice', begin: [0, 0], strides: [1, 1] }, [pool[0]], { shape: [1, 3] })],
        ),
      ),
    () => pool.push(b.add({ name: 'gather', axis: 0, batchDims: 0 }, [pool[1], ids])),
    () => keep(b.add({ name: 'segmentSum', numSegments: 3 }, [pool[1], ids])),
    () =>
      pool.push(
        b.add({ name: 'cumsum', axis: 0, exclusive: pick(2) === 0, reverse: pick(2) === 0 } as Op, [pool[1]]),
      ),
    () => {
      const x = shaped(1);
      pool.push(b.add({ name: 'cast' }, [b.add({ name: 'argMax', axis: 0 }, [x])], { dtype: 'float32' }));
    },
  ];
  const n = 4 + pick(14);
  for (let i = 0; i < n; i++) moves[pick(moves.length)]();
  const resized = (shape: number[]) => {
    const size = sizeOf(shape);
    const exact = pool.filter((x) => sizeOf(b.node(x).shape) === size);
    const x = exact[pick(exact.length)];
    return b.add({ name: 'reshape' }, [x], { shape });
  };
  const scalar = (x: number) => {
    const axes = b.node(x).shape.map((_, i) => i);
    return b.add({ name: 'sum', axes, keepDims: false }, [x]);
  };
  const outputs: GraphOutput[] = [
    { path: 'state.p', node: pick(3) === 0 ? resized([2, 3]) : b.add({ name: 'tanh' }, [resized([2, 3])]) },
    { path: 'state.q', node: pick(3) === 0 ? resized([3]) : b.add({ name: 'tanh' }, [resized([3])]) },
    { path: 'loss', node: scalar(any()) },
    { path: 'metrics.m', node: scalar(any()) },
  ];
  return {
    init: initGraph(state, (i) => 0.3 * i - 0.5),
    step: b.build(outputs),
    theta: [leaf('u', [3]), leaf('v', [])],
    state,
    data: [leaf('x', [2, 3]), leaf('ids', [3], 'int32')],
    metrics: ['m'],
    horizon: Number.POSITIVE_INFINITY,
  };
}
