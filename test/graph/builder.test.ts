import { expect, test } from 'vitest';
import { ShapeError } from '../../src/errors.js';
import { GraphBuilder, typedValues } from '../../src/graph/builder.js';

test('nodes get their position as id and their type from the rules', () => {
  const b = new GraphBuilder();
  const x = b.input('data', 'x', [2, 3], 'float32');
  const y = b.constant([1, 2, 3], [3], 'float32');
  const z = b.add({ name: 'mul' }, [x, y]);
  expect([x, y, z, b.size]).toEqual([0, 1, 2, 3]);
  expect(b.node(z)).toEqual({ id: 2, op: { name: 'mul' }, inputs: [0, 1], shape: [2, 3], dtype: 'float32' });
});

test('a graph that was built does not change when building goes on', () => {
  const b = new GraphBuilder();
  const x = b.input('data', 'x', [2], 'float32');
  const graph = b.build([{ path: 'y', node: x }]);
  b.add({ name: 'neg' }, [x]);
  expect(graph.nodes.length).toBe(1);
});

test('constants are copied and converted', () => {
  const values = Float32Array.of(1.9, -1.9, 0);
  const b = new GraphBuilder();
  const ids = (['float32', 'int32', 'bool'] as const).map((dtype) => b.constant(values, [3], dtype));
  values.fill(9);
  const stored = ids.map((id) => {
    const { op } = b.node(id);
    return op.name === 'constant' ? op.values : undefined;
  });
  expect(stored).toEqual([Float32Array.of(1.9, -1.9, 0), Int32Array.of(1, -1, 0), Uint8Array.of(1, 1, 0)]);
  expect(typedValues([true, false], 'float32')).toEqual(Float32Array.of(1, 0));
});

test('unknown nodes and repeated output names are refused', () => {
  const b = new GraphBuilder();
  const x = b.input('data', 'x', [2], 'float32');
  expect(() => b.add({ name: 'neg' }, [5])).toThrow(/no node %5; the graph has 1 nodes/);
  expect(() => b.build([{ path: 'y', node: 1 }])).toThrow(ShapeError);
  const twice = [
    { path: 'y', node: x },
    { path: 'y', node: x },
  ];
  expect(() => b.build(twice)).toThrow(/two outputs are named "y"/);
});
