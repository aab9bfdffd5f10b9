import { createRequire } from 'node:module';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OptionError, TraceError } from '../../src/errors.js';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import type { Shape } from '../../src/graph/graph.js';
import { removeDeadCode } from '../../src/graph/passes/dead-code.js';
import { printGraph } from '../../src/graph/print.js';
import type { Rng } from '../../src/trace/rng.js';
import { type TraceInput, trace } from '../../src/trace/trace.js';

const value = (name: string, shape: Shape, dtype: TraceInput['dtype'] = 'float32'): TraceInput => ({
  role: 'value',
  path: name,
  shape,
  dtype,
});

// biome-ignore lint/suspicious/noExplicitAny: tensors of every rank go to functions typed by rank.
type Fn = (inputs: any[], rng: Rng) => unknown;

function text(fn: Fn, inputs: TraceInput[]): string {
  return printGraph(removeDeadCode(trace(fn, { inputs }).graph));
}

const counts = () => {
  const { numTensors, numDataBuffers, numBytes } = tf.memory();
  return { numTensors, numDataBuffers, numBytes };
};

beforeEach(async () => {
  await tf.setBackend('cpu');
});

describe('printed graphs', () => {
  test('elementwise ops, constants and dtypes', () => {
    const fn: Fn = ([x, n]) => ({ y: tf.elu(tf.mul(x, 2)), m: tf.add(n, tf.scalar(1, 'int32')) });
    expect(text(fn, [value('x', [3]), value('n', [], 'int32')])).toBe(
      [
        '%0 = input {value "x"} : float32[3]',
        '%1 = input {value "n"} : int32[]',
        '%2 = constant {2} : float32[]',
        '%3 = mul(%0, %2) : float32[3]',
        '%4 = constant {0} : float32[]',
        '%5 = greaterEqual(%3, %4) : bool[3]',
        '%6 = expm1(%3) : float32[3]',
        '%7 = select(%5, %3, %6) : float32[3]',
        '%8 = constant {1} : int32[]',
        '%9 = add(%1, %8) : int32[]',
        'return y = %7',
        'return m = %9',
      ].join('\n'),
    );
  });

  test('a fused layer, softmax and a mean', () => {
    const fn: Fn = ([x, w, b]) =>
      tf.mean(tf.softmax(tf.fused.matMul({ a: x, b: w, bias: b, activation: 'relu' })), 0);
    expect(text(fn, [value('x', [4, 3]), value('w', [3, 2]), value('b', [2])])).toBe(
      [
        '%0 = input {value "x"} : float32[4,3]',
        '%1 = input {value "w"} : float32[3,2]',
        '%2 = input {value "b"} : float32[2]',
        '%3 = matMul(%0, %1) : float32[4,2]',
        '%4 = add(%3, %2) : float32[4,2]',
        '%5 = relu(%4) : float32[4,2]',
        '%6 = max(%5) {axes [1], keepDims} : float32[4,1]',
        '%7 = sub(%5, %6) : float32[4,2]',
        '%8 = exp(%7) : float32[4,2]',
        '%9 = sum(%8) {axes [1], keepDims} : float32[4,1]',
        '%10 = div(%8, %9) : float32[4,2]',
        '%11 = sum(%10) {axes [0]} : float32[2]',
        '%12 = constant {4} : float32[]',
        '%13 = div(%11, %12) : float32[2]',
        'return value = %13',
      ].join('\n'),
    );
  });

  test('what moves values: tile stays small in rank, oneHot is a comparison', () => {
    const fn: Fn = ([x, i]) => [
      tf.tile(x, [2, 3]),
      tf.oneHot(i, 4, 1, 0, 'float32'),
      tf.reverse(tf.gather(x, i), 1),
      tf.stridedSlice(x, [2, 0], [0, 2], [-1, 2]),
    ];
    expect(text(fn, [value('x', [3, 1]), value('i', [5], 'int32')])).toBe(
      [
        '%0 = input {value "x"} : float32[3,1]',
        '%1 = input {value "i"} : int32[5]',
        '%2 = broadcastTo(%0) : float32[3,3]',
        '%3 = reshape(%2) : float32[1,1,9]',
        '%4 = broadcastTo(%3) : float32[1,2,9]',
        '%5 = reshape(%4) : float32[6,3]',
        '%6 = reshape(%1) : int32[5,1]',
        '%7 = iota {start 0, step 1} : int32[4]',
        '%8 = equal(%6, %7) : bool[5,4]',
        '%9 = cast(%8) : float32[5,4]',
        '%10 = gather(%0, %1) {axis 0} : float32[5,1]',
        '%11 = slice(%10) {begin [0,0], strides [1,-1]} : float32[5,1]',
        '%12 = slice(%0) {begin [2,0], strides [-1,2]} : float32[2,1]',
        'return 0 = %5',
        'return 1 = %9',
        'return 2 = %11',
        'return 3 = %12',
      ].join('\n'),
    );
  });

  test('identities leave no node; equal scalars are one node; zeros and ones cost one scalar', () => {
    const fn: Fn = ([x]) => {
      const same = tf.tidy(() => tf.transpose(tf.reshape(tf.cast(x.clone(), 'float32'), [3]), [0]));
      return tf.add(tf.add(tf.mul(same, 2), 2), tf.zeros([3]));
    };
    expect(text(fn, [value('x', [3])])).toBe(
      [
        '%0 = input {value "x"} : float32[3]',
        '%1 = constant {2} : float32[]',
        '%2 = mul(%0, %1) : float32[3]',
        '%3 = add(%2, %1) : float32[3]',
        '%4 = constant {0} : float32[]',
        '%5 = broadcastTo(%4) : float32[3]',
        '%6 = add(%3, %5) : float32[3]',
        'return value = %6',
      ].join('\n'),
    );
  });

  test('roles and paths of inputs, numbers and booleans in the result', () => {
    const inputs: TraceInput[] = [
      { role: 'theta', path: 'rate', shape: [], dtype: 'float32' },
      { role: 'state', path: 'layers.0.w', shape: [2], dtype: 'float32' },
      { role: 't', path: 't', shape: [], dtype: 'int32' },
    ];
    const { graph, structure } = trace(
      ([rate, w, t]) => ({ state: { layers: [{ w }] }, rate, more: [t, 1.5, true] }),
      {
        inputs,
      },
    );
    expect(printGraph(graph).split('\n')).toEqual([
      '%0 = input {theta "rate"} : float32[]',
      '%1 = input {state "layers.0.w"} : float32[2]',
      '%2 = input {t "t"} : int32[]',
      '%3 = constant {1.5} : float32[]',
      '%4 = constant {true} : bool[]',
      'return state.layers.0.w = %1',
      'return rate = %0',
      'return more.0 = %2',
      'return more.1 = %3',
      'return more.2 = %4',
    ]);
    expect(structure.leaves).toEqual([1, 0, 2, 3, 4]);
    expect(structure.rebuild(['a', 'b', 'c', 'd', 'e'])).toEqual({
      state: { layers: [{ w: 'a' }] },
      rate: 'b',
      more: ['c', 'd', 'e'],
    });
  });
});

describe('captured tensors', () => {
  const capture = (x: tf.Tensor) => trace(() => tf.mul(x, 2), { inputs: [] });

  test('become constants, once, and stay usable where they are', () => {
    const outside = tf.tensor2d([1, 2, 3, 4], [2, 2]);
    const before = counts();
    const { graph } = trace(() => [tf.matMul(outside, outside), tf.mul(outside, outside), outside], {
      inputs: [],
    });
    expect(graph.nodes.filter((n) => n.op.name === 'constant').length).toBe(1);
    expect(evaluateGraph(graph, {})['0'].values).toEqual(Float32Array.of(7, 10, 15, 22));
    expect(counts()).toEqual(before);
    expect(outside.mul(2).arraySync()).toEqual([
      [2, 4],
      [6, 8],
    ]);
  });

  test('views and casts that share memory are read with their own shape and dtype', () => {
    const whole = tf.tensor1d([1, 2, 3, 4], 'int32');
    const [view, cast] = [whole.reshape([2, 2]), whole.cast('float32')];
    const { graph } = trace(() => [view, cast, whole], { inputs: [] });
    const types = graph.nodes.map((n) => `${n.dtype}[${n.shape}]`);
    expect(types).toEqual(['int32[2,2]', 'float32[4]', 'int32[4]']);
  });

  test('of the wasm backend', async () => {
    const require = createRequire(import.meta.url);
    setWasmPaths(`${path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
    await tf.setBackend('wasm');
    const outside = tf.tensor1d([1, 2]);
    const { graph } = capture(outside);
    expect(evaluateGraph(graph, {}).value.values).toEqual(Float32Array.of(2, 4));
    expect(tf.getBackend()).toBe('wasm');
    expect(Array.from(tf.add(outside, 1).dataSync())).toEqual([2, 3]);
    await tf.setBackend('cpu');
    expect(Array.from(capture(outside).graph.outputs, (o) => o.path)).toEqual(['value']);
    expect(Array.from(outside.dataSync())).toEqual([1, 2]);
  });

  test('variables count with their value of the moment; gradients towards them work', () => {
    const v = tf.variable(tf.tensor1d([3, 4]));
    const fn: Fn = ([x]) => {
      const { value: loss, grads } = tf.variableGrads(() => tf.sum(tf.mul(tf.square(v), x)));
      return { loss, grad: grads[v.name] };
    };
    const { graph } = trace(fn, { inputs: [value('x', [2])] });
    const result = evaluateGraph(graph, { x: Float32Array.of(1, 10) });
    expect(result.loss.values).toEqual(Float32Array.of(169));
    expect(result.grad.values).toEqual(Float32Array.of(6, 80));
    expect(Array.from(v.dataSync())).toEqual([3, 4]);
    v.dispose();
  });

  test('that were disposed are refused', () => {
    const gone = tf.tensor1d([1]);
    gone.dispose();
    expect(() => trace(() => gone, { inputs: [] })).toThrow(TraceError);
    expect(() => capture(gone)).toThrow(/disposed/);
  });

  test('of dtypes that the graph lacks are refused', () => {
    const text = tf.tensor1d(['a']);
    expect(() => trace(() => text, { inputs: [] })).toThrow(/dtype string/);
    expect(() => trace(() => tf.complex([1], [2]), { inputs: [] })).toThrow(/complex64.*tf\.real\(x\)/);
  });
});

describe('gradients', () => {
  test('valueAndGrads of an MLP loss', () => {
    const loss = (x: tf.Tensor2D, y: tf.Tensor2D, w1: tf.Tensor2D, b1: tf.Tensor1D, w2: tf.Tensor2D) => {
      const logits = tf.matMul(tf.relu(tf.add(tf.matMul(x, w1), b1)), w2) as tf.Tensor2D;
      return tf.losses.softmaxCrossEntropy(y, logits) as tf.Scalar;
    };
    const inputs = [
      value('x', [5, 4]),
      value('y', [5, 3]),
      value('w1', [4, 6]),
      value('b1', [6]),
      value('w2', [6, 3]),
    ];
    const fn: Fn = ([x, y, ...weights]) =>
      tf.valueAndGrads((w1, b1, w2) => loss(x, y, w1 as tf.Tensor2D, b1 as tf.Tensor1D, w2 as tf.Tensor2D))(
        weights,
      );
    const { graph, structure } = trace(fn, { inputs });
    expect(structure.paths).toEqual(['value', 'grads.0', 'grads.1', 'grads.2']);

    const numbers = inputs.map(({ shape }, k) =>
      Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) => Math.sin(7 * k + 3 * i)),
    );
    numbers[1] = Float32Array.from({ length: 15 }, (_, i) => +(i % 3 === (i * i) % 5));
    const traced = evaluateGraph(
      graph,
      Object.fromEntries(inputs.map((input, i) => [input.path, numbers[i]])),
    );
    const tensors = inputs.map(({ shape }, i) => tf.tensor(numbers[i], shape as number[]));
    const eager = fn(tensors, undefined as unknown as Rng) as { value: tf.Tensor; grads: tf.Tensor[] };
    [eager.value, ...eager.grads].forEach((tensor, i) => {
      const wanted = tensor.dataSync();
      const got = traced[structure.paths[i]].values;
      expect(got.length).toBe(wanted.length);
      wanted.forEach((w, j) => {
        expect(got[j]).toBeCloseTo(w, 5);
      });
    });
  });
});

describe('a trace leaves no trace', () => {
  const x = value('x', [4]);
  const failing: [string, Fn][] = [
    [
      'a throw',
      () => {
        throw new Error('mine');
      },
    ],
    [
      'a throw inside a gradient',
      ([v]) =>
        tf.grads((a: tf.Tensor) => {
          tf.exp(a);
          throw new Error('mine');
        })([v]),
    ],
    [
      'a throw inside tidy and customGrad',
      ([v]) =>
        tf.grad((a) =>
          tf.tidy(() =>
            tf.customGrad(() => {
              throw new Error('mine');
            })(tf.exp(a)),
          ),
        )(v),
    ],
    ['a value read', ([v]) => tf.tidy(() => tf.sum(v).dataSync())],
    ['Math.random', () => Math.random()],
    [
      'a kept tensor, then a throw',
      ([v]) => {
        tf.keep(tf.exp(v));
        throw new Error('mine');
      },
    ],
    ['a new variable', ([v]) => tf.variable(v)],
    [
      'a change of backend',
      ([v]) => {
        tf.setBackend('cpu');
        return tf.exp(v);
      },
    ],
    [
      'an open scope',
      ([v]) => {
        tf.engine().startScope('open');
        tf.exp(v);
        throw new Error('mine');
      },
    ],
  ];
  test.each(failing)('after %s', (_, fn) => {
    const outside = tf.tensor1d([1]);
    const { random } = Math;
    const { assign } = tf.Variable.prototype;
    const before = counts();
    const variables = Object.keys(tf.engine().registeredVariables);
    const depth = (tf.engine() as unknown as { state: { scopeStack: unknown[] } }).state.scopeStack.length;
    expect(() => trace(fn, { inputs: [x] })).toThrow();
    expect(counts()).toEqual(before);
    expect(tf.getBackend()).toBe('cpu');
    expect(Math.random).toBe(random);
    expect(tf.Variable.prototype.assign).toBe(assign);
    expect(Object.getOwnPropertyNames(tf.engine())).not.toContain('makeVariable');
    expect(Object.getOwnPropertyNames(tf.engine())).not.toContain('addTapeNode');
    expect(Object.getOwnPropertyNames(tf.engine())).not.toContain('runKernelFunc');
    expect(Object.keys(tf.engine().registeredVariables)).toEqual(variables);
    expect((tf.engine() as unknown as { state: { scopeStack: unknown[] } }).state.scopeStack.length).toBe(
      depth,
    );
    expect(
      tf
        .grad((v) => tf.sum(tf.square(v)))(outside)
        .arraySync(),
    ).toEqual([2]);
  });

  test('after success, with kept and disposed tensors, clones and gradients', () => {
    const data = tf.tensor2d([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]);
    const before = counts();
    let leaked: tf.Tensor | undefined;
    const fn: Fn = ([v]) => {
      leaked = tf.keep(tf.exp(v));
      const dropped = tf.square(v);
      dropped.dispose();
      tf.keep(tf.scalar(3));
      const g = tf.grad((a) => tf.sum(tf.mul(tf.tanh(a), data)))(v);
      return tf.tidy(() => tf.add(g.clone(), leaked as tf.Tensor));
    };
    for (let i = 0; i < 3; i++) trace(fn, { inputs: [x] });
    expect(counts()).toEqual(before);
    expect(() => leaked?.dataSync()).toThrow(/disposed/);
    expect(() => tf.add(leaked as tf.Tensor, 1).dataSync()).toThrow();
    expect(counts()).toEqual(before);
  });

  test('inside tidy, a gradient and debug mode', () => {
    const before = counts();
    const weight = tf.tensor1d([2, 3]);
    let nodes = 0;
    const g = tf.tidy(() =>
      tf.grad((w) => {
        nodes = trace(([v]) => tf.mul(tf.exp(v), 2), { inputs: [x] }).graph.nodes.length;
        return tf.sum(tf.square(w));
      })(weight),
    );
    expect(nodes).toBe(4);
    expect(g.arraySync()).toEqual([4, 6]);
    tf.dispose([g, weight]);
    expect(counts()).toEqual(before);
    tf.env().set('DEBUG', true);
    try {
      expect(trace(([v]) => tf.exp(v), { inputs: [x] }).graph.nodes.length).toBe(2);
      expect(tf.env().getBool('DEBUG')).toBe(true);
    } finally {
      tf.env().set('DEBUG', false);
    }
  });

  test('the recording backend cannot be selected or chosen', () => {
    trace(([v]) => v, { inputs: [x] });
    expect(
      tf
        .engine()
        .backendNames()
        .filter((name) => name.includes('trace')),
    ).toEqual([]);
  });
});

describe('traces inside traces', () => {
  test('are independent of each other', () => {
    let inner = '';
    const outer = trace(
      ([v]) => {
        inner = text(([w]) => tf.grad((a) => tf.sum(tf.maximum(a, 0)))(w), [value('w', [2])]);
        return tf.exp(v);
      },
      { inputs: [value('x', [3])] },
    );
    expect(outer.graph.nodes.map((n) => n.op.name)).toEqual(['input', 'exp']);
    expect(inner).toContain('greaterEqual');
    expect(inner).toContain('return value');
    expect(tf.getBackend()).toBe('cpu');
  });
  test('refuse tensors of the outer one', () => {
    const fn: Fn = ([v]) => trace(() => tf.exp(v), { inputs: [] }).graph.nodes.length;
    expect(() => trace(fn, { inputs: [value('x', [3])] })).toThrow(
      /shape \[3\] belongs to another trace.*input/,
    );
  });
});

describe('asynchronous functions', () => {
  const rejections: unknown[] = [];
  const listen = (reason: unknown) => rejections.push(reason);
  beforeEach(() => {
    rejections.length = 0;
    process.on('unhandledRejection', listen);
  });
  afterEach(() => {
    process.off('unhandledRejection', listen);
  });
  const inputs = [value('x', [2])];

  test('are refused, and their later failure is no unhandled rejection', async () => {
    const late: Fn = async ([v]) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return tf.exp(v);
    };
    expect(() => trace(late, { inputs, name: 'step' })).toThrow(/step returned a promise/);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(rejections).toEqual([]);
  });
  test('a read that nobody awaits is refused all the same', async () => {
    const read: Fn = ([v]) => {
      v.data().then(() => {});
      return v;
    };
    expect(() => trace(read, { inputs })).toThrow(/data while tracing/);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(rejections).toEqual([]);
  });
});

describe('results', () => {
  const inputs = [value('x', [2])];
  const cases: [string, Fn, RegExp][] = [
    ['undefined', () => undefined, /the result of step is undefined/],
    ['a missing leaf', ([v]) => ({ a: v, b: undefined }), /"b" in the result of step is undefined/],
    ['a map', ([v]) => new Map([['a', v]]), /instance of Map/],
    [
      'a typed array',
      () => ({ a: new Float32Array(2) }),
      /"a" in the result of step is an instance of Float32Array/,
    ],
  ];
  test.each(cases)('%s is refused', (_, fn, message) => {
    expect(() => trace(fn, { inputs, name: 'step' })).toThrow(message);
    expect(() => trace(fn, { inputs, name: 'step' })).toThrow(OptionError);
  });
  test('a disposed tensor is refused by path', () => {
    const fn: Fn = ([v]) => {
      const y = tf.exp(v);
      y.dispose();
      return { a: { y } };
    };
    expect(() => trace(fn, { inputs, name: 'step' })).toThrow(
      /"a\.y" in the result of step has been disposed/,
    );
  });
  test('what is not a function is refused', () => {
    expect(() => trace(undefined as unknown as Fn, { inputs, name: 'step' })).toThrow(
      /step is not a function/,
    );
  });
});

describe('tf.layers', () => {
  test('a model applied inside a trace has its weights captured', () => {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({
          inputShape: [3],
          units: 4,
          activation: 'relu',
          kernelInitializer: tf.initializers.glorotUniform({ seed: 3 }),
        }),
        tf.layers.dropout({ rate: 0.5 }),
        tf.layers.dense({
          units: 2,
          activation: 'softmax',
          kernelInitializer: tf.initializers.glorotUniform({ seed: 4 }),
        }),
      ],
    });
    const before = counts();
    const { graph } = trace(([x]) => model.apply(x) as tf.Tensor, { inputs: [value('x', [5, 3])] });
    expect(counts()).toEqual(before);
    const numbers = Float32Array.from({ length: 15 }, (_, i) => Math.cos(i));
    const wanted = (model.predict(tf.tensor2d(numbers, [5, 3])) as tf.Tensor).dataSync();
    const got = evaluateGraph(graph, { x: numbers }).value.values;
    wanted.forEach((w, i) => {
      expect(got[i]).toBeCloseTo(w, 6);
    });
  });
});
