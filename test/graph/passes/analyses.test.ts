import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/graph/builder.js';
import {
  analyseInvariants,
  analyseUniform,
  foldConstants,
  mergeCommonSubexpressions,
  optimize,
  removeDeadCode,
} from '../../../src/graph/passes/index.js';
import { printGraph } from '../../../src/graph/print.js';

describe('analyseUniform and analyseInvariants', () => {
  const b = new GraphBuilder();
  const data = b.input('data', 'x', [4], 'float32');
  const theta = b.input('theta', 'rate', [], 'float32');
  const state = b.input('state', 'w', [4], 'float32');
  const t = b.input('t', 't', [], 'int32');
  const particle = b.input('particle', 'particle', [], 'int32');
  const shared = b.add({ name: 'random', kind: { distribution: 'normal' }, share: 'all', draw: 0 }, [], {
    shape: [4],
  });
  const own = b.add({ name: 'random', kind: { distribution: 'normal' }, share: 'pair', draw: 1 }, [], {
    shape: [4],
  });
  const scaled = b.add({ name: 'exp' }, [data]);
  const rated = b.add({ name: 'mul' }, [scaled, theta]);
  const moved = b.add({ name: 'add' }, [state, rated]);
  const noisy = b.add({ name: 'add' }, [scaled, shared]);
  const graph = b.build([
    { path: 'moved', node: moved },
    { path: 'noisy', node: noisy },
  ]);

  it('finds what all particles have in common', () => {
    const uniform = analyseUniform(graph);
    expect([data, shared, scaled, noisy].map((id) => uniform[id])).toEqual([true, true, true, true]);
    expect([theta, state, t, particle, own, rated, moved].some((id) => uniform[id])).toBe(false);
    // a run whose theta is one vector for all
    expect(analyseUniform(graph, ['data', 'theta'])[rated]).toBe(true);
  });

  it('finds what does not change from step to step', () => {
    const levels = analyseInvariants(graph, analyseUniform(graph));
    expect([data, scaled].map((id) => levels[id])).toEqual(['call', 'call']);
    expect([theta, particle, rated].map((id) => levels[id])).toEqual(['tile', 'tile', 'tile']);
    expect([state, t, shared, own, moved, noisy].every((id) => levels[id] === 'step')).toBe(true);
  });
});

describe('removeDeadCode', () => {
  it('drops unread nodes and inputs', () => {
    const b = new GraphBuilder();
    const x = b.input('value', 'x', [], 'float32');
    b.add({ name: 'exp' }, [b.input('value', 'unread', [], 'float32')]);
    const y = b.add({ name: 'neg' }, [x]);
    expect(printGraph(removeDeadCode(b.build([{ path: 'y', node: y }])))).toBe(
      '%0 = input {value "x"} : float32[]\n%1 = neg(%0) : float32[]\nreturn y = %1',
    );
  });
});

describe('mergeCommonSubexpressions', () => {
  it('merges equal constants, commuted operands and repeated draws, and keeps 0 and -0 apart', () => {
    const b = new GraphBuilder();
    const x = b.input('value', 'x', [2], 'float32');
    const draw = () =>
      b.add({ name: 'random', kind: { distribution: 'normal' }, share: 'particle', draw: 3 }, [], {
        shape: [2],
      });
    const first = b.add({ name: 'add' }, [
      b.add({ name: 'mul' }, [x, b.constant([0.5], [], 'float32')]),
      draw(),
    ]);
    const second = b.add({ name: 'add' }, [
      draw(),
      b.add({ name: 'mul' }, [b.constant([0.5], [], 'float32'), x]),
    ]);
    const zeros = b.constant([0, -0], [2], 'float32');
    const others = b.constant([0, 0], [2], 'float32');
    const graph = mergeCommonSubexpressions(
      b.build([first, second, zeros, others].map((node, i) => ({ path: `y${i}`, node }))),
    );
    const [a, c, d, e] = graph.outputs.map(({ node }) => node);
    expect(a).toBe(c);
    expect(d).not.toBe(e);
  });

  it('keeps different draws, and draws of different sharing, apart', () => {
    const b = new GraphBuilder();
    const draw = (draw: number, share: 'all' | 'particle') =>
      b.add({ name: 'random', kind: { distribution: 'uniform', low: 0, high: 1 }, share, draw }, [], {
        shape: [],
      });
    const nodes = [draw(0, 'all'), draw(1, 'all'), draw(0, 'particle')];
    const graph = mergeCommonSubexpressions(b.build(nodes.map((node, i) => ({ path: `y${i}`, node }))));
    expect(new Set(graph.outputs.map(({ node }) => node)).size).toBe(3);
  });
});

describe('foldConstants', () => {
  const fold = (make: (b: GraphBuilder) => number) => {
    const b = new GraphBuilder();
    const y = make(b);
    return printGraph(removeDeadCode(foldConstants(b.build([{ path: 'y', node: y }]))));
  };

  it('computes what depends on constants only', () => {
    const text = fold((b) => {
      const product = b.add({ name: 'mul' }, [
        b.constant([2, 3], [2], 'float32'),
        b.constant([5], [], 'float32'),
      ]);
      return b.add({ name: 'sum', axes: [0], keepDims: false }, [product]);
    });
    expect(text).toBe('%0 = constant {25} : float32[]\nreturn y = %0');
  });

  it('keeps a broadcast unwritten and shrinks equal elements to one', () => {
    const text = fold((b) => b.constant(new Array(640).fill(0.25), [64, 10], 'float32'));
    expect(text).toBe(
      '%0 = constant {0.25} : float32[]\n%1 = broadcastTo(%0) : float32[64,10]\nreturn y = %1',
    );
  });

  it('leaves results beyond the limit to the device', () => {
    const make = (n: number) => (b: GraphBuilder) => {
      const row = b.add({ name: 'iota', start: 0, step: 1 }, [], { shape: [n], dtype: 'float32' });
      return b.add({ name: 'square' }, [row]);
    };
    expect(fold(make(4096))).not.toContain('square');
    expect(fold(make(4097))).toContain('square');
  });

  it('knows what comes of nothing', () => {
    const text = fold((b) => {
      const x = b.input('value', 'x', [0, 3], 'float32');
      return b.add({ name: 'max', axes: [0], keepDims: false }, [x]);
    });
    expect(text).toBe(
      '%0 = constant {-Infinity} : float32[]\n%1 = broadcastTo(%0) : float32[3]\nreturn y = %1',
    );
  });
});

describe('optimize', () => {
  it('stops after the given rounds, with a graph that is still right', () => {
    const b = new GraphBuilder();
    const x = b.input('value', 'x', [2], 'float32');
    const y = b.add({ name: 'mul' }, [x, b.constant([1, 1], [2], 'float32')]);
    const graph = b.build([{ path: 'y', node: y }]);
    expect(optimize(graph, { maxRounds: 0 }).nodes).toHaveLength(3);
    expect(optimize(graph).nodes).toHaveLength(1);
  });
});
