import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { OptionError, TraceError } from '../../src/errors.js';
import { printGraph } from '../../src/graph/print.js';
import type { Rng } from '../../src/trace/rng.js';
import { trace } from '../../src/trace/trace.js';

const draw = (fn: (rng: Rng) => unknown) => trace((_, rng) => fn(rng), { inputs: [] });

test('draws are numbered nodes with their parameters and share', () => {
  const { graph } = draw((rng) => ({
    a: rng.normal([2, 3]),
    b: rng.uniform([4]),
    c: rng.uniform([], -1, 2.5, { share: 'pair' }),
    d: rng.integers([5], -3, 7, { share: 'particle' }),
    e: rng.bernoulli([0], 0.25, { share: 'all' }),
  }));
  expect(printGraph(graph)).toBe(
    [
      '%0 = random {normal, share all, draw 0} : float32[2,3]',
      '%1 = random {uniform, low 0, high 1, share all, draw 1} : float32[4]',
      '%2 = random {uniform, low -1, high 2.5, share pair, draw 2} : float32[]',
      '%3 = random {integers, low -3, high 7, share particle, draw 3} : int32[5]',
      '%4 = random {bernoulli, p 0.25, share all, draw 4} : bool[0]',
      'return a = %0',
      'return b = %1',
      'return c = %2',
      'return d = %3',
      'return e = %4',
    ].join('\n'),
  );
});

test('a draw is an ordinary tensor that a gradient can pass through', () => {
  const { graph } = draw((rng) => {
    const noise = rng.normal([3]);
    return tf.grad((x) => tf.sum(tf.mul(x, noise)))(tf.ones([3]));
  });
  const output = graph.nodes[graph.outputs[0].node];
  expect(output.op.name).toBe('mul');
  expect(output.inputs.map((id) => graph.nodes[id].op.name)).toContain('random');
});

describe('arguments are checked', () => {
  // biome-ignore lint/suspicious/noExplicitAny: wrong types on purpose.
  const cases: [string, (rng: any) => unknown, RegExp][] = [
    ['shape', (rng) => rng.normal(3), /rng\.normal: shape must be an array of integers/],
    ['negative axis', (rng) => rng.normal([-1]), /rng\.normal: shape/],
    ['share', (rng) => rng.normal([1], { share: 'pairs' }), /rng\.normal: share must be one of 'all'/],
    ['option', (rng) => rng.normal([1], { shared: 'all' }), /rng\.normal has no option "shared".*share/],
    ['empty interval', (rng) => rng.uniform([1], 2, 2), /low must be below high/],
    ['interval that float32 closes', (rng) => rng.uniform([1], 1, 1 + 1e-9), /as float32/],
    ['infinite', (rng) => rng.uniform([1], 0, Infinity), /high must be a finite number/],
    ['no high', (rng) => rng.integers([1], 3), /rng\.integers: high must be an integer/],
    ['fraction', (rng) => rng.integers([1], 0, 2.5), /rng\.integers: high must be an integer/],
    ['empty range', (rng) => rng.integers([1], 5, 5), /low must be below high/],
    ['too wide', (rng) => rng.integers([1], -(2 ** 31), 2 ** 31), /at most 2\^32 - 1 apart/],
    ['probability', (rng) => rng.bernoulli([1], 1.5), /p must be in \[0, 1\]/],
    ['NaN', (rng) => rng.bernoulli([1], Number.NaN), /p must be a finite number/],
  ];
  test.each(cases)('%s', (_, fn, message) => {
    expect(() => draw(fn)).toThrow(message);
    expect(() => draw(fn)).toThrow(OptionError);
  });
});

test('an rng used after its trace is refused', () => {
  let leaked: Rng | undefined;
  draw((rng) => {
    leaked = rng;
    return rng.normal([1]);
  });
  expect(() => leaked?.normal([1])).toThrow(TraceError);
});
