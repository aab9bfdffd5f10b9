import { expect, test } from 'vitest';
import { GraphBuilder } from '../../src/graph/builder.js';
import { formatFloat, hashValues, printGraph } from '../../src/graph/print.js';

test('every kind of attribute is shown, flags only when set', () => {
  const b = new GraphBuilder();
  const w = b.input('theta', 'layers.0.w', [3, 4], 'float32');
  const x = b.constant(
    Array.from({ length: 12 }, (_, i) => i),
    [4, 3],
    'float32',
  );
  const p = b.add({ name: 'matMul', transposeA: false, transposeB: false }, [w, x]);
  const q = b.add({ name: 'matMul', transposeA: true, transposeB: true }, [w, x]);
  const s = b.add({ name: 'sum', axes: [0, 1], keepDims: true }, [p]);
  b.add({ name: 'argMax', axis: 1 }, [q]);
  b.add({ name: 'slice', begin: [2, 0], strides: [-1, 1] }, [w], { shape: [3, 4] });
  b.add({ name: 'slice', begin: [0, 0], strides: [1, 1] }, [w], { shape: [1, 4] });
  b.add(
    {
      name: 'pad',
      paddings: [
        [0, 1],
        [2, 0],
      ],
      value: -0,
    },
    [w],
  );
  b.add({ name: 'clip', min: 0.1, max: Infinity }, [w]);
  b.add({ name: 'cumsum', axis: 0, exclusive: true, reverse: false }, [w]);
  b.add({ name: 'cast' }, [w], { dtype: 'bool' });
  b.add({ name: 'iota', start: 0, step: 2 }, [], { shape: [5] });
  b.constant([0, 1], [2], 'bool');
  const hash = hashValues(Float32Array.from({ length: 12 }, (_, i) => i));
  expect(printGraph(b.build([{ path: 'loss', node: s }]))).toBe(
    [
      '%0 = input {theta "layers.0.w"} : float32[3,4]',
      `%1 = constant {hash ${hash}} : float32[4,3]`,
      '%2 = matMul(%0, %1) : float32[3,3]',
      '%3 = matMul(%0, %1) {transposeA, transposeB} : float32[4,4]',
      '%4 = sum(%2) {axes [0,1], keepDims} : float32[1,1]',
      '%5 = argMax(%3) {axis 1} : int32[4]',
      '%6 = slice(%0) {begin [2,0], strides [-1,1]} : float32[3,4]',
      '%7 = slice(%0) {begin [0,0]} : float32[1,4]',
      '%8 = pad(%0) {[0,1] [2,0] value -0} : float32[4,6]',
      '%9 = clip(%0) {0.1, Infinity} : float32[3,4]',
      '%10 = cumsum(%0) {axis 0, exclusive} : float32[3,4]',
      '%11 = cast(%0) : bool[3,4]',
      '%12 = iota {start 0, step 2} : int32[5]',
      '%13 = constant {false, true} : bool[2]',
      'return loss = %4',
    ].join('\n'),
  );
});

test('windows are printed without what is usual', () => {
  const b = new GraphBuilder();
  const x = b.input('value', 'x', [1, 1, 5, 6, 2], 'float32');
  const window = { size: [1, 3, 2], strides: [1, 2, 1], dilations: [1, 1, 1], padBefore: [0, 1, 0] } as const;
  const y = b.add({ name: 'windowMax', window }, [x], { shape: [1, 1, 3, 5, 2] });
  b.add({ name: 'argSort', descending: true }, [y]);
  b.add({ name: 'argSort', descending: false }, [y]);
  expect(printGraph(b.build([])).split('\n')).toEqual([
    '%0 = input {value "x"} : float32[1,1,5,6,2]',
    '%1 = windowMax(%0) {size [1,3,2], strides [1,2,1], padBefore [0,1,0]} : float32[1,1,3,5,2]',
    '%2 = argSort(%1) {descending} : int32[1,1,3,5,2]',
    '%3 = argSort(%1) : int32[1,1,3,5,2]',
  ]);
});

test('float32 values are printed by their shortest decimal', () => {
  const f = Math.fround;
  expect([f(0.1), f(1 / 3), f(1e-45), f(3.4e38), -0, 5, Number.NaN, -Infinity].map(formatFloat)).toEqual([
    '0.1',
    '0.33333334',
    '1e-45',
    '3.4e+38',
    '-0',
    '5',
    'NaN',
    '-Infinity',
  ]);
  for (let i = 0; i < 1000; i++) {
    const x = f(Math.tan(i) * 10 ** ((i % 60) - 30));
    expect(f(Number(formatFloat(x)))).toBe(x);
  }
});

test('the hash tells values, their order and the sign of zero apart', () => {
  const hashes = [
    [0, 1],
    [1, 0],
    [-0, 1],
    [0, 1, 0],
  ].map((v) => hashValues(Float32Array.from(v)));
  expect(new Set(hashes).size).toBe(4);
  // FNV-1a of the bytes 61 62 63 ("abc"), from the published test vectors.
  expect(hashValues(Uint8Array.of(0x61, 0x62, 0x63))).toBe('1a47e90b');
});
