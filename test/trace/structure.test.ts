import { describe, expect, test } from 'vitest';
import { OptionError } from '../../src/errors.js';
import { flatten, joinPath } from '../../src/trace/structure.js';

const isNumber = (x: unknown): x is number => typeof x === 'number';

test('paths follow keys and indices, in order', () => {
  const flat = flatten({ layers: [{ w: 1, b: 2 }, { w: 3 }], rate: 4, none: [], empty: {} }, isNumber);
  expect(flat.paths).toEqual(['layers.0.w', 'layers.0.b', 'layers.1.w', 'rate']);
  expect(flat.leaves).toEqual([1, 2, 3, 4]);
  expect(flat.rebuild(['a', 'b', 'c', 'd'])).toEqual({
    layers: [{ w: 'a', b: 'b' }, { w: 'c' }],
    rate: 'd',
    none: [],
    empty: {},
  });
});

test('a bare leaf has the empty path', () => {
  const flat = flatten(7, isNumber);
  expect(flat.paths).toEqual(['']);
  expect(flat.rebuild([8])).toBe(8);
});

test('the same leaf or container in two places is no cycle', () => {
  const shared = { w: 1 };
  expect(flatten([shared, shared], isNumber).paths).toEqual(['0.w', '1.w']);
});

test('objects without a prototype and keys like __proto__ are plain data', () => {
  const bare = Object.assign(Object.create(null), { a: 1 });
  expect(flatten(bare, isNumber).paths).toEqual(['a']);
  const odd = JSON.parse('{"__proto__": 1, "b": 2}');
  const rebuilt = flatten(odd, isNumber).rebuild([3, 4]) as object;
  expect(Object.keys(rebuilt)).toEqual(['__proto__', 'b']);
  expect(Object.getPrototypeOf(rebuilt)).toBe(Object.prototype);
});

describe('refusals name the path', () => {
  class Box {
    w = 1;
  }
  const cases: [string, unknown, RegExp][] = [
    ['undefined', { a: [1, undefined] }, /"a\.1" in state is undefined.*leave the key out/],
    ['a hole', { a: new Array(1) }, /"a\.0" in state is undefined/],
    ['null', { a: null }, /"a" in state is null/],
    ['a Map', { a: new Map() }, /"a" in state is an instance of Map/],
    ['a class instance', { a: { b: new Box() } }, /"a\.b" in state is an instance of Box/],
    ['a typed array', { a: new Float32Array(2) }, /"a" in state is an instance of Float32Array/],
    ['a function', { a: () => 1 }, /"a" in state is a function/],
    ['a string', ['x'], /"0" in state is the string x/],
    ['nothing at all', undefined, /^state is undefined/],
    ['a dotted key', { 'a.b': 1 }, /the key "a\.b" of state cannot be used/],
    ['an empty key', { a: { '': 1 } }, /the key "" of "a" in state cannot be used/],
  ];
  test.each(cases)('%s', (_, tree, message) => {
    expect(() => flatten(tree, isNumber, 'state')).toThrow(message);
    expect(() => flatten(tree, isNumber, 'state')).toThrow(OptionError);
  });
  test('a cycle', () => {
    const tree: Record<string, unknown> = { a: { b: 1 } };
    (tree.a as Record<string, unknown>).c = tree;
    expect(() => flatten(tree, isNumber, 'state')).toThrow(/"a\.c" in state contains itself/);
  });
});

test('rebuilding wants exactly as many leaves', () => {
  const flat = flatten([1, 2], isNumber);
  expect(() => flat.rebuild([1])).toThrow(/wanted 2 leaves.*got 1/);
});

test('joinPath', () => {
  expect([joinPath('', 'a'), joinPath('a', 0), joinPath('a.0', 'w')]).toEqual(['a', 'a.0', 'a.0.w']);
});
