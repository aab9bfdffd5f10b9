/** Every op of tfjs, and its gradient, eagerly on this backend and on the cpu backend of tfjs. */
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sample } from '../docs/sample.js';
import { SAMPLES } from '../docs/samples.js';
import { NATIVE } from '../support/devices.js';
import { useUnrolled } from './unrolled.js';

const TOLERANCE = 2e-5;

function tensors(result: unknown): tf.Tensor[] {
  if (result instanceof tf.Tensor) return [result];
  return Object.values(result as object).flatMap(tensors);
}

const inputsOf = ({ inputs }: Sample): tf.Tensor[] =>
  inputs.map(({ values, shape, dtype }) => tf.tensor(values.slice(), shape, dtype));

interface Result {
  readonly shape: number[];
  readonly dtype: string;
  readonly values: number[];
}

/** Results of `f` on a backend, or the message of what it threw. */
async function on(backend: string, f: () => tf.Tensor[]): Promise<Result[] | string> {
  await tf.setBackend(backend);
  return tf.tidy(() => {
    try {
      return f().map((y) => ({ shape: y.shape, dtype: y.dtype, values: Array.from(y.dataSync()) }));
    } catch (error) {
      return (error as Error).message;
    }
  }) as Result[] | string;
}

function expectClose(actual: Result[] | string, wanted: Result[]): void {
  if (typeof actual === 'string') expect.fail(actual);
  expect(actual.map(({ shape, dtype }) => [shape, dtype])).toEqual(
    wanted.map(({ shape, dtype }) => [shape, dtype]),
  );
  for (const [n, { values }] of wanted.entries())
    values.forEach((b, i) => {
      const a = actual[n].values[i];
      const same = Object.is(a, b) || a === b || Math.abs(a - b) <= TOLERANCE * Math.max(1, Math.abs(b));
      if (!same) expect.fail(`result ${n}, element ${i}: ${a}, cpu ${b}`);
    });
}

const gradients = (sample: Sample) => (): tf.Tensor[] => {
  const xs = inputsOf(sample);
  const free = xs.filter(({ dtype }) => dtype === 'float32');
  const loss = (...some: tf.Tensor[]) => {
    const rest = some.slice();
    const ys = tensors(
      sample.fn(...xs.map((x) => (x.dtype === 'float32' ? (rest.shift() as tf.Tensor) : x))),
    );
    const terms = ys.filter(({ dtype }) => dtype === 'float32').map((y) => tf.sum(tf.square(y)));
    return tf.addN([...terms, ...some.map((x) => tf.mul(tf.sum(x), 0))]) as tf.Scalar;
  };
  return tf.grads(loss)(free);
};

const samples = Object.entries(SAMPLES).filter(([, { refused }]) => !refused);

/** Its gradient has the wrong shape in the cpu backend of tfjs. */
const MENDED = 'tf.image.resizeBilinear';

/** A result of known shape that a trace has as a constant; computed on the host here. */
const ON_HOST = ['BroadcastArgs'];

if (NATIVE)
  describe('every op on the unrolled backend', () => {
    beforeAll(async () => {
      (await useUnrolled()).clearFallbacks();
    });
    afterAll(async () => {
      const backend = await useUnrolled();
      const { compiled, capacity, size } = backend.compiled();
      expect(compiled).toBeGreaterThan(100);
      expect(size).toBeLessThanOrEqual(capacity);
      const others = backend.fallbacks().filter(({ kernel }) => !ON_HOST.includes(kernel));
      expect(others).toEqual([]);
    });

    it.each(samples)('%s', async (_, sample) => {
      const forward = () => tensors(sample.fn(...inputsOf(sample)));
      const wanted = await on('cpu', forward);
      if (typeof wanted === 'string') expect.fail(wanted);
      expectClose(await on('unrolled', forward), wanted as Result[]);
    });

    const smooth = samples.filter(
      ([name, { inputs }]) => name !== MENDED && inputs.some(({ dtype }) => dtype === 'float32'),
    );
    it.each(smooth)('gradient of %s', async (_, sample) => {
      const wanted = await on('cpu', gradients(sample));
      const actual = await on('unrolled', gradients(sample));
      // Where tfjs has no gradient, this backend, which has tfjs's, says the same.
      if (typeof wanted === 'string') expect(actual).toBe(wanted);
      else expectClose(actual, wanted);
    });
  });

describe.runIf(NATIVE)('where tfjs cpu gives something arbitrary', () => {
  beforeAll(useUnrolled);

  it('reductions over nothing and topk of NaN are defined', () => {
    const least = Number.NEGATIVE_INFINITY;
    expect(tf.max(tf.zeros([2, 0]), 1).arraySync()).toEqual([least, least]);
    expect(tf.all(tf.zeros([2, 0], 'bool'), 1).arraySync()).toEqual([1, 1]);
    expect(tf.topk(tf.tensor1d([1, Number.NaN, 3]), 3).values.arraySync()).toEqual([3, 1, Number.NaN]);
  });
});
