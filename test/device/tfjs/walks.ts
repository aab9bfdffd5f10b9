/** Small unrolls, written as graphs, whose runs can be followed by hand. */
import type { LeafSpec, UnrollSpec } from '../../../src/device/driver.js';
import { GraphBuilder } from '../../../src/graph/builder.js';
import type { DType, RandomKind, Shape, Share } from '../../../src/graph/graph.js';

export function leaf(path: string, shape: Shape, dtype: DType = 'float32'): LeafSpec {
  return { path, shape, dtype };
}

/** x' = rate * x + shift with x [2], from x = shift at the start of an episode; loss = x'[0] + x'[1]; metric t. */
export function recurrence(horizon: number): UnrollSpec {
  const i = new GraphBuilder();
  const start = i.input('theta', 'shift', [2], 'float32');
  const b = new GraphBuilder();
  const x = b.input('state', 'x', [2], 'float32');
  const rate = b.input('theta', 'rate', [], 'float32');
  const shift = b.input('theta', 'shift', [2], 'float32');
  const t = b.input('t', 't', [], 'int32');
  const next = b.add({ name: 'add' }, [b.add({ name: 'mul' }, [x, rate]), shift]);
  return {
    init: i.build([{ path: 'state.x', node: start }]),
    step: b.build([
      { path: 'state.x', node: next },
      { path: 'loss', node: b.add({ name: 'sum', axes: [0], keepDims: false }, [next]) },
      { path: 'metrics.t', node: b.add({ name: 'cast' }, [t], { dtype: 'float32' }) },
    ]),
    theta: [leaf('rate', []), leaf('shift', [2])],
    state: [leaf('x', [2])],
    data: [],
    metrics: ['t'],
    horizon,
  };
}

/** State is the last step's draw; init draws too. Loss is the sum of the draw. */
export function draws(kind: RandomKind, share: Share, size: number): UnrollSpec {
  const graph = (draw: number, withLoss: boolean) => {
    const b = new GraphBuilder();
    const r = b.add({ name: 'random', kind, share, draw }, [], { shape: [size] });
    const value = b.add({ name: 'cast' }, [r], { dtype: 'float32' });
    const outputs = [{ path: 'state.x', node: value }];
    if (!withLoss) return b.build(outputs);
    const initial = b.input('state', 'first', [size], 'float32');
    const loss = b.add({ name: 'sum', axes: [0], keepDims: false }, [value]);
    return b.build([...outputs, { path: 'state.first', node: initial }, { path: 'loss', node: loss }]);
  };
  const i = graph(2, false);
  return {
    init: { nodes: i.nodes, outputs: [...i.outputs, { path: 'state.first', node: i.outputs[0].node }] },
    step: graph(5, true),
    theta: [],
    state: [leaf('x', [size]), leaf('first', [size])],
    data: [],
    metrics: [],
    horizon: Number.POSITIVE_INFINITY,
  };
}

/** x' = x + d with d [n] from data; many elements and steps where a run must take its time. */
export function adding(n: number): UnrollSpec {
  const i = new GraphBuilder();
  const zero = i.add({ name: 'broadcastTo' }, [i.constant([0], [], 'float32')], { shape: [n] });
  const b = new GraphBuilder();
  const x = b.input('state', 'x', [n], 'float32');
  const d = b.input('data', 'd', [n], 'float32');
  const next = b.add({ name: 'add' }, [x, d]);
  return {
    init: i.build([{ path: 'state.x', node: zero }]),
    step: b.build([
      { path: 'state.x', node: next },
      { path: 'loss', node: b.add({ name: 'max', axes: [0], keepDims: false }, [next]) },
    ]),
    theta: [],
    state: [leaf('x', [n])],
    data: [leaf('d', [n])],
    metrics: [],
    horizon: Number.POSITIVE_INFINITY,
  };
}
