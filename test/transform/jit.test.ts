/** Functions compiled once for each signature. */
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AbortedError, DisposedError, OptionError, ShapeError, TraceError } from '../../src/errors.js';
import type { Rng } from '../../src/trace/rng.js';
import { defineUnroll } from '../../src/transform/define.js';
import { Device } from '../../src/transform/device.js';
import { jit } from '../../src/transform/jit.js';
import { int32, shape } from '../../src/transform/leaf.js';
import { DEVICES, openFastest } from '../support/devices.js';
import { referenceDriver } from '../support/reference-driver.js';
import { expectClose } from './close.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

interface Layer {
  readonly w: tf.Tensor;
  readonly b: tf.Tensor;
}

function network(layers: readonly Layer[], x: tf.Tensor): { readonly y: tf.Tensor; readonly top: tf.Tensor } {
  let y = x;
  for (const { w, b } of layers) y = tf.tanh(tf.add(tf.matMul(y as tf.Tensor2D, w as tf.Tensor2D), b));
  return { y, top: tf.argMax(y, 1) };
}

const wave = (...dims: number[]) =>
  tf.tensor(
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1.3 * i)),
    dims,
  );

describe.each(DEVICES)('on $name', ({ open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => device.dispose());

  it('gives what the function gives, in its structure', () => {
    const layers = [
      { w: wave(3, 5), b: wave(5) },
      { w: wave(5, 2), b: wave(2) },
    ];
    const f = jit(network, { device });
    const [result, wanted] = [f(layers, wave(4, 3)), network(layers, wave(4, 3))];
    expectClose(result.y, wanted.y, 1e-5);
    expectClose(result.top, wanted.top, 0);
    expect([result.y.dtype, result.top.dtype]).toEqual(['float32', 'int32']);
    f.dispose();
  });

  it('takes and returns float32, int32 and bool', () => {
    const f = jit(
      (x: tf.Tensor, n: tf.Tensor, c: tf.Tensor) => ({
        sum: tf.where(c, x, tf.cast(n, 'float32')),
        more: tf.add(n, tf.scalar(1, 'int32')),
        not: tf.logicalNot(c),
      }),
      { device },
    );
    const { sum, more, not } = f(
      tf.tensor1d([0.5, 1.5]),
      tf.tensor1d([3, -4], 'int32'),
      tf.tensor1d([true, false], 'bool'),
    );
    expectClose(sum, [0.5, -4], 0);
    expectClose(more, [4, -3], 0);
    expectClose(not, [0, 1], 0);
    expect([more.dtype, not.dtype]).toEqual(['int32', 'bool']);
    f.dispose();
  });

  it('returns inputs, constants, the same value twice, and nothing at all', () => {
    const f = jit((x: tf.Tensor) => ({ x, again: x, half: 0.5, yes: true, none: [] }), { device });
    const { x, again, half, yes, none } = f(wave(3));
    expectClose(x, wave(3), 0);
    expectClose(again, wave(3), 0);
    expect([half.dataSync()[0], yes.dtype, none]).toEqual([0.5, 'bool', []]);
    f.dispose();
  });

  it('works off the event loop, on copies of its inputs', async () => {
    const f = jit((x: tf.Tensor) => tf.exp(x), { device });
    const values = Float32Array.of(1, 2, 3);
    const pending = f.async(values);
    values.fill(0);
    expectClose(await pending, [Math.E, Math.E ** 2, Math.E ** 3], 1e-6);
    f.dispose();
  });

  it('writes donated typed arrays in place, also where one is read twice', () => {
    const step = jit(
      (p: { m: tf.Tensor; w: tf.Tensor }, g: tf.Tensor) => {
        const m = tf.add(tf.mul(p.m, 0.9), g);
        return { w: tf.sub(p.w, tf.mul(m, 0.1)), m };
      },
      { device, donate: [0] },
    );
    const [m, w] = [Float32Array.of(1, 2), Float32Array.of(3, 4)];
    const result = step({ m, w }, Float32Array.of(10, 20));
    // Matched by path, not by order.
    expect([result.m, result.w]).toEqual([m, w]);
    expect(result.m).toBe(m);
    expect(result.w).toBe(w);
    expectClose(m, [10.9, 21.8], 1e-6);
    expectClose(w, [1.91, 1.82], 1e-6);
    const twice = step({ m, w }, w);
    expect(twice.w).toBe(w);
    expectClose(w, [1.91 - 0.1 * (0.9 * 10.9 + 1.91), 1.82 - 0.1 * (0.9 * 21.8 + 1.82)], 1e-5);
    step.dispose();
  });

  it('draws new numbers at every call, the same on every device', () => {
    const f = jit((x: tf.Tensor, rng: Rng) => tf.add(x, rng.uniform([2])), { device, seed: 7 });
    const draws = [0, 1, 2].map(() => Array.from(f(tf.scalar(0)).dataSync()));
    expect(new Set(draws.flat()).size).toBe(6);
    const again = jit((x: tf.Tensor, rng: Rng) => tf.add(x, rng.uniform([2])), {
      device: new Device(referenceDriver()),
      seed: 7,
    });
    for (const each of draws) expect(Array.from(again(tf.scalar(0)).dataSync())).toEqual(each);
    f.dispose();
  });

  it('leaves no tensors but its results', async () => {
    const f = jit(network, { device, donate: [0] });
    const layers = () => [{ w: wave(3, 2), b: wave(2) }];
    const x = wave(4, 3);
    tf.dispose(f(layers(), x));
    const { numTensors, numBytes } = tf.memory();
    tf.dispose(f(layers(), x));
    tf.dispose(await f.async(layers(), x));
    tf.dispose(f(layers(), wave(5, 3).dataSync() && x));
    expect(tf.memory().numTensors).toBe(numTensors + 1);
    expect(tf.memory().numBytes).toBe(numBytes + 5 * 3 * 4);
    f.dispose();
  });
});

describe('signatures', () => {
  const device = new Device(referenceDriver());
  const make = (options = {}) => {
    let traces = 0;
    const f = jit(
      (x: tf.Tensor) => {
        traces++;
        return tf.mul(x, 2);
      },
      { device, ...options },
    );
    // Each compilation traces twice, to find values that leak in.
    return { f, compiled: () => traces / 2 };
  };

  it('traces again for another shape, dtype or structure, and not otherwise', () => {
    const { f, compiled } = make();
    f(wave(3));
    f(tf.ones([3]));
    f(Float32Array.of(1, 2, 3));
    f([1, 2, 3]);
    expect(compiled()).toBe(1);
    f(wave(4));
    f(wave(3, 1));
    f(wave(1, 3));
    f(tf.tensor1d([1, 2, 3], 'int32'));
    f(2);
    expect(compiled()).toBe(6);
    f(tf.scalar(3));
    expect(compiled()).toBe(6);
    expect(f.cacheInfo()).toEqual({ hits: 4, misses: 6, size: 6 });
  });

  it('tells structures apart that have the same leaves', () => {
    const f = jit((x: unknown) => tf.scalar(Object.keys(x as object).length), { device });
    const a = tf.scalar(1);
    for (const x of [{ a, b: a }, { ab: a, c: a }, [a, a], { a: [a, a] }, { a: [a], b: a }, [[a], a]]) f(x);
    expect(f.cacheInfo().misses).toBe(6);
    f({ a: tf.scalar(2), b: tf.scalar(5) });
    expect(f.cacheInfo().hits).toBe(1);
    // Two names that run together.
    f({ '1:a': a });
    f({ '1': { a } });
    expect(f.cacheInfo().misses).toBe(8);
  });

  it('forgets the least recently used signature beyond cacheSize, and releases it', () => {
    const driver = referenceDriver();
    const { f, compiled } = make({ device: new Device(driver), cacheSize: 2 });
    f(wave(1));
    f(wave(2));
    f(wave(1));
    f(wave(3));
    expect(driver.live.functions).toBe(2);
    f(wave(1));
    expect(compiled()).toBe(3);
    f(wave(2));
    expect(compiled()).toBe(4);
    f.clear();
    expect([driver.live.functions, f.cacheInfo().size]).toEqual([0, 0]);
    f(wave(2));
    f.dispose();
    expect(driver.live.functions).toBe(0);
    expect(() => f(wave(2))).toThrow(DisposedError);
  });

  it('keeps a signature that is dropped while it runs until it has run', async () => {
    const driver = referenceDriver();
    const { f } = make({ device: new Device(driver), cacheSize: 1 });
    const pending = f.async(wave(2));
    f(wave(3));
    expect(driver.live.functions).toBe(2);
    expectClose(await pending, tf.mul(wave(2), 2), 1e-6);
    expect(driver.live.functions).toBe(1);
  });

  it('compiles for each value of a static argument', () => {
    const f = jit(
      (x: tf.Tensor, kind: string, power: number) => (kind === 'pow' ? tf.pow(x, power) : tf.mul(x, power)),
      { device, staticArgs: [1, 2] },
    );
    expect(f(3, 'pow', 2).dataSync()[0]).toBe(9);
    expect(f(3, 'mul', 2).dataSync()[0]).toBe(6);
    expect(f(4, 'mul', 2).dataSync()[0]).toBe(8);
    expect(f.cacheInfo()).toMatchObject({ hits: 1, misses: 2 });
    // @ts-expect-error: an object is no static value
    expect(() => f(3, {}, 2)).toThrow(/argument 1 .*static/);
  });

  it('reads a captured variable at every call, and any other tensor once', () => {
    const weight = tf.variable(tf.tensor1d([1, 2]));
    const fixed = tf.tensor1d([10, 10]);
    const f = jit((x: tf.Tensor) => tf.add(tf.mul(x, weight), fixed), { device });
    expectClose(f(3), [13, 16], 0);
    weight.assign(tf.tensor1d([5, 7]));
    expectClose(f(3), [25, 31], 0);
    expect(f.cacheInfo().misses).toBe(1);
    expect(f.lower(3).before).toMatch(/input \{value "captured\.0\./);
    weight.dispose();
  });
});

describe('arguments', () => {
  const device = new Device(referenceDriver());
  const f = jit((x: { readonly a: tf.Tensor }, y: tf.Tensor) => tf.add(x.a, y), { device, name: 'adder' });

  it('are tensors, numbers, nested and typed arrays', () => {
    expectClose(f({ a: tf.tensor1d([1, 2]) }, 1), [2, 3], 0);
    expectClose(f({ a: [[1, 2]] }, [[3], [4]]), [4, 5, 5, 6], 0);
    expectClose(f({ a: Float64Array.of(1, 2) }, tf.scalar(1)), [2, 3], 0);
  });

  it('come back as typed arrays where typed arrays and no tensor came in, or as asked', () => {
    const arrays = f({ a: Float32Array.of(1) }, Float32Array.of(2));
    expect(arrays).toEqual(Float32Array.of(3));
    expect(f({ a: Float32Array.of(1) }, tf.scalar(2))).toBeInstanceOf(tf.Tensor);
    expect(f({ a: 1 }, 2)).toBeInstanceOf(tf.Tensor);
    const asked = jit((x: tf.Tensor) => tf.neg(x), { device, output: 'typedArray' });
    expect(asked(tf.tensor1d([1, 2]))).toEqual(Float32Array.of(-1, -2));
    const tensors = jit((x: tf.Tensor) => tf.neg(x), { device, output: 'tensor' });
    expect(tensors(Int32Array.of(1))).toBeInstanceOf(tf.Tensor);
  });

  it('have the shapes that are declared for them', () => {
    const g = jit((p: { w: tf.Tensor2D }, i: tf.Tensor1D) => tf.gather(p.w, i), {
      device,
      shapes: [{ w: shape(2, 2) }, int32(1)],
    });
    expect(g({ w: Float32Array.of(1, 2, 3, 4) }, [1])).toEqual(Float32Array.of(3, 4));
    expect(g({ w: 5 }, Int32Array.of(0))).toEqual(Float32Array.of(5, 5));
    expect(() => g({ w: Float32Array.of(1, 2, 3) }, [1])).toThrow(/"w" must have shape \[2, 2\].*3 values/);
    expect(() => g({ w: tf.ones([4]) }, [1])).toThrow(ShapeError);
    // @ts-expect-error: misspelt
    expect(() => g({ v: 5 }, [1])).toThrow(/has no "v"/);
  });

  it('that cannot be used are named by number and path', () => {
    const gone = tf.ones([2]);
    gone.dispose();
    expect(() => f({ a: gone }, 1)).toThrow(/argument 0 of adder at "a".*disposed/);
    expect(() => f({ a: tf.complex(1, 2) }, 1)).toThrow(/argument 0 of adder at "a".*complex64/);
    // @ts-expect-error: not a tensor
    expect(() => f({ a: 'one' }, 1)).toThrow(/"a" in argument 0 of adder is the string/);
    // @ts-expect-error: missing
    expect(() => f({ a: 1 }, undefined)).toThrow(/argument 1 of adder/);
    expect(() => f({ a: Uint8Array.of(0, 2) }, 1)).toThrow(/booleans/);
    expect(() => f({ a: [[1, 2], [3]] }, 1)).toThrow(ShapeError);
    const knot: Record<string, unknown> = {};
    knot.again = { knot };
    expect(() => f(knot as never, 1)).toThrow(/contains itself/);
    let deep: object = { x: 1 };
    for (let i = 0; i < 300; i++) deep = { deep };
    expect(() => f(deep as never, 1)).toThrow(/deep/);
  });
});

describe('the function', () => {
  const device = new Device(referenceDriver());

  it('must be traceable', () => {
    const read = jit((x: tf.Tensor) => tf.scalar(x.dataSync()[0]), { device });
    expect(() => read(1)).toThrow(TraceError);
    let n = 0;
    const leak = jit((x: tf.Tensor) => tf.add(x, n++), { device, name: 'leak' });
    expect(() => leak(1)).toThrow(/two traces of leak differ/);
    const promise = jit(async (x: tf.Tensor) => x, { device });
    expect(() => promise(1)).toThrow(/synchronous/);
    const odd = jit((x: tf.Tensor) => ({ x, none: undefined }), { device, name: 'odd' });
    expect(() => odd(1)).toThrow(/"none" in the result of odd is undefined/);
  });

  it('may not draw without a seed', () => {
    const inner = jit((x: tf.Tensor, rng: Rng) => tf.add(x, rng.normal([])), { device, seed: 1 });
    const outer = jit((x: tf.Tensor) => inner(x), { device, name: 'outer' });
    expect(() => outer(1)).toThrow(/outer draws random numbers.*seed/);
  });

  it('shows its graph before and after the passes, its plan and its device', () => {
    const f = jit((x: tf.Tensor) => tf.add(tf.mul(tf.exp(x), 1), tf.exp(x)), { device });
    const { before, after, plan, device: where } = f.lower(wave(3));
    expect(before.match(/exp\(/g)).toHaveLength(2);
    expect(after.match(/exp\(/g)).toHaveLength(1);
    expect(plan.flops).toBe(0);
    expect(where).toBe('cpu: reference evaluator');
    expect(f.device).toBe(where);
    expect(f.cacheInfo().size).toBe(1);
  });

  it('is the function itself inside another', () => {
    let seen: tf.Tensor | undefined;
    const inner = jit((x: tf.Tensor, scale: tf.Tensor) => {
      seen = scale;
      return { y: tf.mul(x, scale), one: 1 };
    });
    const outer = jit((x: tf.Tensor) => tf.add(inner(x, 3).y, inner(x, 3).one), { device });
    expect(outer(2).dataSync()[0]).toBe(7);
    // Numbers arrive as tensors, as they do when it is compiled by itself.
    expect(seen).toBeInstanceOf(tf.Tensor);
    expect(inner.cacheInfo()).toEqual({ hits: 0, misses: 0, size: 0 });
  });

  it('is inlined in a step of an unroll, with the draws of the step', async () => {
    const noisy = jit((x: tf.Tensor, rng: Rng) => tf.add(x, rng.uniform([], 0, 1)), { seed: 0 });
    const program = device.compile(
      defineUnroll({
        horizon: 10,
        theta: { rate: shape() },
        init: () => ({ x: tf.scalar(0) }),
        step: ({ theta, state, rng }) => {
          const first = rng.uniform([], 10, 11);
          return { state: { x: noisy(tf.mul(state.x, theta.rate)) }, loss: first };
        },
      }),
    );
    const state = program.createState(2);
    const run = await program.run({ state, theta: { rate: 0 }, steps: 3, seed: 4 });
    expect(program.graphs.step).toMatch(/draw 0.*draw 1/s);
    expect(run.meanLoss).toBeGreaterThan(10);
    program.dispose();
  });

  it('makes tensors that a tidy around the call disposes of', () => {
    const f = jit((x: tf.Tensor) => tf.neg(x), { device });
    const { numTensors } = tf.memory();
    const kept = tf.tidy(() => {
      f(wave(2));
      return f(wave(3));
    });
    expect(tf.memory().numTensors).toBe(numTensors + 1);
    expectClose(kept, tf.neg(wave(3)), 0);
  });
});

describe('donated tensors', () => {
  it('are disposed of, and their storage is reused only where nobody else holds it', async () => {
    const device = await openFastest();
    const f = jit((x: tf.Tensor) => tf.add(x, 1), { device, donate: [0] });
    const given = Float32Array.of(1, 2);
    const first = tf.tensor1d(given);
    const second = f(first);
    expect(first.isDisposed).toBe(true);
    // The array belongs to the caller of tf.tensor1d.
    expect(given).toEqual(Float32Array.of(1, 2));
    const storage = second.dataSync();
    const third = f(second);
    expect(third.dataSync()).toBe(storage);
    expectClose(third, [3, 4], 0);
    const alias = tf.clone(third);
    const fourth = f(third);
    expectClose(alias, [3, 4], 0);
    expectClose(fourth, [4, 5], 0);
    f.dispose();
    await device.dispose();
  });

  it('may be donated without an output of their type', () => {
    const f = jit((x: tf.Tensor) => tf.sum(x), { device: new Device(referenceDriver()), donate: [0] });
    const x = wave(3);
    f(x);
    expect(x.isDisposed).toBe(true);
  });
});

describe('asynchronous calls', () => {
  it('end with AbortedError when their signal fires', async () => {
    const device = await openFastest();
    const f = jit(
      (x: tf.Tensor2D) => {
        let y = x;
        for (let i = 0; i < 60; i++) y = tf.tanh(tf.matMul(y, x));
        return y;
      },
      { device },
    );
    const x = tf.mul(wave(300, 300), 0.1) as tf.Tensor2D;
    const before = new AbortController();
    before.abort(new Error('no longer wanted'));
    await expect(f.async(x, before.signal)).rejects.toMatchObject({
      code: 'ERR_ABORTED',
      cause: { message: 'no longer wanted' },
    });
    const during = new AbortController();
    const pending = f.async(x, during.signal);
    during.abort();
    await expect(pending).rejects.toThrow(AbortedError);
    expect((await f.async(x, new AbortController().signal)).shape).toEqual([300, 300]);
    f.dispose();
    await device.dispose();
  });

  it('reject, and do not throw', async () => {
    const f = jit((x: tf.Tensor) => x, { device: new Device(referenceDriver()) });
    // @ts-expect-error: not a tensor
    const pending = f.async('one');
    await expect(pending).rejects.toThrow(OptionError);
  });
});

describe('options', () => {
  const identity = (x: tf.Tensor) => x;
  it.each([
    [{ devise: 'cpu' }, /no option "devise" \(misspelt "device"\?\)/],
    [{ device: 'gpu' }, /device must be/],
    [{ cacheSize: 0 }, /cacheSize/],
    [{ donate: 0 }, /donate must be an array/],
    [{ donate: [1], staticArgs: [1] }, /static and has no memory/],
    [{ seed: 1.5 }, /seed/],
    [{ output: 'array' }, /output must be one of/],
    [{ name: '' }, /name/],
    [{ shapes: {} }, /shapes must be an array/],
  ])('%j is refused', (options, message) => {
    expect(() => jit(identity, options as never)).toThrow(OptionError);
    expect(() => jit(identity, options as never)).toThrow(message);
  });

  it('a function is wanted', () => {
    // @ts-expect-error: no function
    expect(() => jit(3)).toThrow(/jit expects a function, got 3/);
  });
});
