import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { ShapeError, TraceError, UnrolledError, UnsupportedOpError } from '../../src/errors.js';
import { trace } from '../../src/trace/trace.js';

// biome-ignore lint/suspicious/noExplicitAny: tensors of every rank go to functions typed by rank.
type Fn = (x: any, mask: any) => unknown;

function refusal(fn: Fn): UnrolledError & { op?: string; frame?: string } {
  try {
    trace(([x, mask]) => fn(x, mask), {
      inputs: [
        { role: 'value', path: 'x', shape: [4], dtype: 'float32' },
        { role: 'value', path: 'mask', shape: [4], dtype: 'bool' },
      ],
    });
  } catch (error) {
    if (error instanceof UnrolledError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const HERE = /refusals\.test\.ts:\d+:\d+$/;

describe('value reads', () => {
  const reads: [string, Fn][] = [
    ['dataSync', (x) => x.dataSync()],
    ['data', (x) => x.data()],
    ['arraySync', (x) => x.arraySync()],
    ['array', (x) => x.array()],
    ['bufferSync', (x) => x.bufferSync()],
    ['buffer', (x) => x.buffer()],
    ['bytes', (x) => x.bytes()],
    ['print', (x) => x.print()],
    ['toString', (x) => `${x}`],
    ['data', async (x) => (await x.data())[0]],
    ['arraySync', (x) => tf.tidy(() => tf.sum(x).arraySync())],
    ['dataSync', (x) => tf.grad((v) => tf.mul(v, v.dataSync()[0]))(x)],
  ];
  test.each(reads)('%s', (op, fn) => {
    const error = refusal(fn);
    expect(error).toBeInstanceOf(TraceError);
    expect(error.code).toBe('ERR_TRACE');
    expect(error.op).toBe(op);
    expect(error.frame).toMatch(HERE);
    expect(error.message).toContain(`${op} while tracing: tensors have no values yet`);
    expect(error.message).toContain('tf.where');
    expect(error.message).toContain(`(at ${error.frame})`);
  });
  test('the frame is the line of the read', () => {
    let line = 0;
    const error = refusal((x) => {
      line = Number(/refusals\.test\.ts:(\d+)/.exec(String(new Error('here').stack))?.[1]) + 1;
      return x.dataSync();
    });
    expect(error.frame).toMatch(new RegExp(`refusals\\.test\\.ts:${line}:`));
  });
  test('values of tensors from outside may be read', () => {
    const outside = tf.tensor1d([1, 2]);
    const { graph } = trace(() => outside.dataSync()[1], { inputs: [] });
    expect(graph.nodes[0].op).toEqual({ name: 'constant', values: Float32Array.of(2) });
  });
});

describe('dynamic shapes', () => {
  const dynamic: [string, Fn][] = [
    ['whereAsync', (_, mask) => tf.whereAsync(mask)],
    ['booleanMaskAsync', (x, mask) => tf.booleanMaskAsync(x, mask)],
    ['setdiff1dAsync', (x) => tf.setdiff1dAsync(x, [1, 2])],
    ['unique', (x) => tf.unique(x)],
    ['nonMaxSuppression', (x) => tf.image.nonMaxSuppression(tf.reshape(x, [1, 4]), tf.ones([1]), 1)],
    ['RaggedRange', (x) => tf.engine().runKernel('RaggedRange', { x }, {})],
    [
      'nonMaxSuppressionAsync',
      (x) => tf.image.nonMaxSuppressionAsync(tf.reshape(x, [1, 4]), tf.ones([1]), 1),
    ],
  ];
  test.each(dynamic)('%s', (op, fn) => {
    const error = refusal(fn);
    expect(error).toBeInstanceOf(TraceError);
    expect(error.op).toBe(op);
    expect(error.frame).toMatch(HERE);
    expect(error.message).toMatch(/shapes are static in a trace.*mask/);
  });
});

describe('hidden randomness', () => {
  const weights = tf.tensor1d([0.5, 0.5]);
  const draws: [string, Fn][] = [
    ['randomNormal', () => tf.randomNormal([2])],
    ['randomNormal', () => tf.randomNormal([2], 0, 1, 'float32', 7)],
    ['randomStandardNormal', () => tf.randomStandardNormal([2])],
    ['randomStandardNormal', () => tf.randomStandardNormal([2], 'float32', 7)],
    ['randomUniform', () => tf.randomUniform([2])],
    ['randomUniform', () => tf.randomUniform([2], 0, 1, 'float32', 7)],
    ['randomUniformInt', () => tf.randomUniformInt([2], 0, 5)],
    ['randomUniformInt', () => tf.randomUniformInt([2], 0, 5, 7)],
    ['truncatedNormal', () => tf.truncatedNormal([2])],
    ['truncatedNormal', () => tf.truncatedNormal([2], 0, 1, 'float32', 7)],
    ['randomGamma', () => tf.randomGamma([2], 1)],
    ['randomGamma', () => tf.randomGamma([2], 1, 1, 'float32', 7)],
    ['multinomial', () => tf.multinomial(weights, 3)],
    ['multinomial', () => tf.multinomial(weights, 3, 7)],
    ['dropout', (x) => tf.dropout(x, 0.5)],
    ['dropout', (x) => tf.dropout(x, 0.5, undefined, 7)],
    ['dropout', (x) => tf.grad((v) => tf.sum(tf.dropout(v, 0.5, undefined, 7)))(x)],
    ['dropout', (x) => tf.layers.dropout({ rate: 0.5, seed: 3 }).apply(x, { training: true })],
    ['rand', () => tf.rand([2], () => 0.25)],
    ['Math.random', (x) => tf.mul(x, Math.random())],
    ['Math.random', () => tf.util.shuffle([1, 2, 3])],
  ];
  test.each(draws)('%s (%s)', (op, fn) => {
    const error = refusal(fn);
    expect(error).toBeInstanceOf(TraceError);
    expect(error.op).toBe(op);
    expect(error.frame).toMatch(HERE);
    expect(error.message).toMatch(/frozen for every particle and step.*rng\.normal/);
  });
  test('dropout that drops nothing is no draw', () => {
    const { graph } = trace(([x]) => tf.dropout(x, 0), {
      inputs: [{ role: 'value', path: 'x', shape: [2], dtype: 'float32' }],
    });
    expect(graph.nodes.length).toBe(1);
  });
});

describe('side effects', () => {
  test('assigning to a variable, which keeps its value', () => {
    const v = tf.variable(tf.tensor1d([1, 2, 3, 4]));
    const error = refusal((x) => {
      v.assign(x);
      return x;
    });
    expect(error).toBeInstanceOf(TraceError);
    expect(error.op).toBe('assign');
    expect(error.frame).toMatch(HERE);
    expect(error.message).toContain('return the new value as state');
    expect(Array.from(v.dataSync())).toEqual([1, 2, 3, 4]);
    v.dispose();
  });
  test('an optimizer step', () => {
    const v = tf.variable(tf.scalar(1));
    const error = refusal((x) => tf.train.sgd(0.1).minimize(() => tf.mul(v, tf.sum(x)) as tf.Scalar));
    expect(error.op).toBe('assign');
    expect(v.dataSync()[0]).toBe(1);
    v.dispose();
  });
  test('creating a variable or building a layer', () => {
    for (const fn of [
      (x) => tf.variable(x),
      (x) => tf.layers.dense({ units: 2, kernelInitializer: 'zeros' }).apply(tf.reshape(x, [1, 4])),
    ] as Fn[]) {
      const error = refusal(fn);
      expect(error).toBeInstanceOf(TraceError);
      expect(error.op).toBe('variable');
      expect(error.message).toContain('create models and variables before');
    }
  });
});

describe('ops without a traceable form', () => {
  const runKernel = (name: string) => tf.engine().runKernel(name, {}, {});
  const c = () => tf.complex([1, 2], [3, 4]);
  const ops: [string, Fn, RegExp][] = [
    ['neg', () => tf.neg(c()), /Neg.*complex64.*tf\.real/],
    ['slice', () => tf.slice(c(), 0, 1), /Slice.*complex64/],
    ['matMul', () => tf.matMul(tf.reshape(c(), [1, 2]), tf.reshape(c(), [2, 1])), /BatchMatMul.*complex64/],
    ['fromPixels', () => tf.browser.fromPixels({ data: new Uint8Array(4), width: 1, height: 1 }), /pixels/],
    ['StaticRegexReplace', () => runKernel('StaticRegexReplace'), /works on strings/],
    ['Pool', () => runKernel('Pool'), /tf\.pool/],
  ];
  test.each(ops)('%s', (op, fn, message) => {
    const error = refusal(fn);
    expect(error).toBeInstanceOf(UnsupportedOpError);
    expect(error.code).toBe('ERR_UNSUPPORTED_OP');
    expect(error.message).toMatch(message);
    expect(error.message).toContain('cannot be traced');
    expect(error.frame).toMatch(HERE);
    expect(error.op).toBe(op);
  });
  test('every kernel that tfjs knows is either lowered or refused by name', () => {
    trace(() => 1, { inputs: [] });
    const registered = tf.getKernelsForBackend('unrolled-trace').map((k) => k.kernelName);
    const cpu = tf.getKernelsForBackend('cpu').map((k) => k.kernelName);
    expect(cpu.length).toBeGreaterThan(150);
    expect(cpu.filter((name) => !registered.includes(name))).toEqual([]);
  });
});

describe('shapes that do not fit', () => {
  test('name the tfjs op, the rule and the line', () => {
    const error = refusal((x) => tf.add(x, tf.ones([5])));
    expect(error).toBeInstanceOf(ShapeError);
    expect(error.message).toMatch(
      /^tf\.add: add: shapes \[4\], \[5\] do not broadcast.*refusals\.test\.ts:\d+:\d+\)$/,
    );
  });
});

describe('host values that leak into a trace', () => {
  let calls = 0;
  const leaks: [string, () => unknown, RegExp][] = [
    ['the clock', () => tf.scalar(Date.now() % 1e6), /differ in the constant %\d+ of shape \[\]/],
    ['the high-resolution clock', () => tf.scalar(performance.now()), /differ in the constant/],
    [
      'a counter',
      () => tf.tensor1d([1, 2, calls++]),
      /the constant %\d+ of shape \[3\] \(element 2: \d+, then \d+\)/,
    ],
    [
      'a counter as attribute',
      () => tf.clipByValue(tf.scalar(1), 0, calls++),
      /first at node %\d+ \("%\d+ = clip/,
    ],
    ['a counter as control flow', () => (calls++ % 2 ? tf.exp(1) : tf.sin(1)), /differ, first at node/],
    ['a result that changes', () => ({ [`a${calls++}`]: 1 }), /differ in their outputs/],
  ];
  test.each(leaks)('%s', (_, fn, message) => {
    const error = refusal(fn);
    expect(error).toBeInstanceOf(TraceError);
    expect(error.message).toMatch(message);
    expect(error.message).toContain('leaked into the trace');
  });
  test('NaN and -0 are equal to themselves', () => {
    expect(() => trace(() => tf.tensor1d([Number.NaN, -0, 1]), { inputs: [] })).not.toThrow();
  });
});

describe('frames', () => {
  test('are the user’s with source maps on, which name sources of tfjs that no package carries', () => {
    const { prepareStackTrace } = Error;
    const mapped = (frame: NodeJS.CallSite) =>
      `    at ${frame}`.replace(
        /[^\s(]*node_modules[\\/]@tensorflow[\\/](tfjs-core)[\\/]dist[^:]*/,
        '/nowhere/$1/src/op.ts',
      );
    try {
      Error.prepareStackTrace = (error, frames) => [`${error}`, ...frames.map(mapped)].join('\n');
      for (const read of [(x: tf.Tensor) => x.arraySync(), (x: tf.Tensor) => `${x}`]) {
        expect(refusal(read).frame).toMatch(HERE);
      }
      expect(refusal((x) => x.arraySync()).op).toBe('arraySync');
      expect(refusal((x) => tf.unique(x)).frame).toMatch(HERE);
    } finally {
      Error.prepareStackTrace = prepareStackTrace;
    }
  });
});
