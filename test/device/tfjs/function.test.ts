import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeviceDriver, FunctionSpec } from '../../../src/device/driver.js';
import { openTfjsDevice } from '../../../src/device/tfjs/driver.js';
import { AbortedError, DisposedError, OptionError, ShapeError } from '../../../src/errors.js';
import { fillNormal } from '../../../src/random/index.js';
import { trace } from '../../../src/trace/trace.js';

/** y = x w + b, and whether each of y is positive. */
function affine(donate = false): FunctionSpec {
  const inputs = [
    { path: 'x', shape: [2, 3], dtype: 'float32' },
    { path: 'w', shape: [3, 2], dtype: 'float32' },
    { path: 'b', shape: [2, 2], dtype: 'float32' },
  ] as const;
  const { graph } = trace(
    ([x, w, b]) => {
      const y = tf.add(tf.matMul(x, w), b);
      return { y, positive: tf.greater(y, 0) };
    },
    { inputs: inputs.map((leaf) => ({ ...leaf, role: 'value' as const })) },
  );
  return {
    graph,
    inputs,
    outputs: [
      { path: 'positive', shape: [2, 2], dtype: 'bool' },
      { path: 'y', shape: [2, 2], dtype: 'float32' },
    ],
    donations: donate ? [[2, 1]] : [],
  };
}
const X = Float32Array.of(1, 2, 3, 4, 5, 6);
const W = Float32Array.of(1, 0, 0, 1, -1, -2);
const B = Float32Array.of(0.5, 0.5, 0.5, 10);
const Y = [-1.5, -3.5, -1.5, 3];

describe.each(['cpu', 'wasm'] as const)('a function on backend %s', (backend) => {
  let driver: DeviceDriver;
  beforeAll(async () => {
    driver = await openTfjsDevice({ tfjsBackend: backend });
  });
  afterAll(async () => {
    await driver.dispose();
  });

  it('gives the outputs in the order of its spec, and leaves inputs, backend and memory as they were', () => {
    using f = driver.loadFunction(affine());
    const inputs = [X.slice(), W.slice(), B.slice()];
    const before = [tf.getBackend(), tf.memory().numTensors];
    const [positive, y] = f.callSync({ inputs });
    expect([...y]).toEqual(Y);
    expect(positive).toEqual(Uint8Array.of(0, 0, 0, 1));
    expect(inputs).toEqual([X, W, B]);
    expect([tf.getBackend(), tf.memory().numTensors]).toEqual(before);
    y.fill(0);
    expect([...f.callSync({ inputs })[1]]).toEqual(Y);
  });

  it('writes to given arrays, also over the input it was made of', async () => {
    using f = driver.loadFunction(affine(true));
    const b = B.slice();
    const [, y] = f.callSync({ inputs: [X, W, b], into: [undefined, b] });
    expect(y).toBe(b);
    expect([...b]).toEqual(Y);
    const again = B.slice();
    expect((await f.call({ inputs: [X, W, again], into: [undefined, again] }))[1]).toBe(again);
    expect([...again]).toEqual(Y);
  });

  it('reads its inputs before call returns', async () => {
    using f = driver.loadFunction(affine());
    const x = X.slice();
    const result = f.call({ inputs: [x, W, B] });
    x.fill(0);
    expect([...(await result)[1]]).toEqual(Y);
  });

  it('says that it is interpreted, and on which backend', () => {
    using f = driver.loadFunction(affine());
    const plan = f.plan();
    expect(plan.text).toContain(`interpreted by tfjs ${tf.version_core}, backend ${backend}`);
    expect(plan.text).toContain('matMul');
    expect(plan.flops).toBe(2 * 2 * 3 * 2);
    expect(plan.buffers).toBeGreaterThan(0);
    expect(plan.arenaBytes).toBeGreaterThanOrEqual(16);
  });

  it('draws what every device draws', () => {
    const { graph } = trace((_, rng) => rng.normal([5]), { inputs: [] });
    using f = driver.loadFunction({
      graph,
      inputs: [],
      outputs: [{ path: 'value', shape: [5], dtype: 'float32' }],
    });
    const wanted = new Float32Array(5);
    fillNormal(wanted, { seed: 3, stream: 0, step: 4, draw: 0, subject: 0 }, 5);
    expect(f.callSync({ inputs: [], seed: 3, step: 4 })[0]).toEqual(wanted);
  });

  it('refuses wrong inputs, aborted calls, and use after dispose', async () => {
    const f = driver.loadFunction(affine());
    expect(() => f.callSync({ inputs: [X, W] })).toThrow(ShapeError);
    expect(() => f.callSync({ inputs: [X, W, Int32Array.of(1, 2, 3, 4)] })).toThrow(OptionError);
    expect(() => f.callSync({ inputs: [X, W, B], into: [new Uint8Array(3)] })).toThrow(ShapeError);
    const controller = new AbortController();
    const late = f.call({ inputs: [X, W, B] }, controller.signal);
    controller.abort();
    await expect(late).rejects.toThrow(AbortedError);
    f.dispose();
    expect(() => f.callSync({ inputs: [X, W, B] })).toThrow(DisposedError);
  });
});
