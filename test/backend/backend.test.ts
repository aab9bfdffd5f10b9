import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { beforeEach, describe, expect, it } from 'vitest';
import type { UnrolledBackend } from '../../src/backend/index.js';
import { NATIVE } from '../support/devices.js';
import { useUnrolled } from './unrolled.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe('without the native addon', () => {
  it('setBackend rejects with a DeviceError that says why, ops throw the same, and another backend can be taken', () => {
    const folder = join(root, 'build', 'scratch');
    mkdirSync(folder, { recursive: true });
    const program = join(folder, `no-addon-${process.pid}.mts`);
    writeFileSync(
      program,
      `import * as tf from '@tensorflow/tfjs';
import '../../src/backend/index.js';
const failure = (f: () => unknown) => { try { f(); return 'none'; } catch (error) { return (error as Error).name; } };
const errors: Error[] = [];
for (let i = 0; i < 2; i++) await tf.setBackend('unrolled').catch((error) => errors.push(error));
const eager = failure(() => tf.add(1, 2));
await tf.setBackend('cpu');
console.log(JSON.stringify({ names: errors.map((e) => e.name), message: errors[0].message, eager, sum: tf.add(1, 2).dataSync()[0] }));
`,
    );
    try {
      const printed = execFileSync(process.execPath, ['--import', 'tsx', program], {
        cwd: root,
        encoding: 'utf8',
        env: { ...process.env, UNROLLED_ADDON: '/nowhere/unrolled.node' },
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const { names, message, eager, sum } = JSON.parse(printed.trim().split('\n').at(-1) as string);
      expect(names).toEqual(['DeviceError', 'DeviceError']);
      expect(message).toMatch(/no native addon .*\/nowhere\/unrolled\.node/);
      expect(eager).toBe('DeviceError');
      expect(sum).toBe(3);
    } finally {
      rmSync(program);
    }
  });
});

if (NATIVE)
  describe('the unrolled backend', () => {
    let backend: UnrolledBackend;
    beforeEach(async () => {
      backend = await useUnrolled();
      backend.clearFallbacks();
    });

    it('is not chosen unless it is asked for', async () => {
      expect((tf.engine() as unknown as { getSortedBackends(): string[] }).getSortedBackends().at(-1)).toBe(
        'unrolled',
      );
    });

    it('shares the memory of reshaped tensors until the last is gone', () => {
      const x = tf.tensor1d([1, 2, 3, 4]);
      const before = backend.numDataIds();
      const a = tf.add(x, x);
      const b = tf.tidy(() => a.reshape([2, 2]).expandDims(0).clone().cast('float32'));
      expect(b.shape).toEqual([1, 2, 2]);
      expect(b.dataId).toBe(a.dataId);
      expect(backend.refCount(a.dataId)).toBe(2);
      a.dispose();
      expect(Array.from(b.dataSync())).toEqual([2, 4, 6, 8]);
      b.dispose();
      expect(backend.numDataIds()).toBe(before);
    });

    it('gives back everything', () => {
      const x = tf.randomNormal([8, 4], 0, 1, 'float32', 3);
      const before = { ids: backend.numDataIds(), ...tf.memory() };
      tf.tidy(() => {
        const [value] = tf.split(tf.softmax(x.matMul(x.transpose())), 2);
        tf.complex(value, value).mul(tf.complex(value, value));
        tf.fft(tf.complex(value, tf.zerosLike(value)));
        tf.topk(value, 2);
        tf.unique(tf.tensor1d([1, 1, 2]));
      });
      expect(backend.numDataIds()).toBe(before.ids);
      expect(tf.memory().numTensors).toBe(before.numTensors);
      expect(tf.memory().numBytes).toBe(before.numBytes);
      x.dispose();
    });

    it('uses arrays of disposed tensors again, but none that was shown', () => {
      const x = tf.range(0, 1000);
      const first = tf.square(x);
      const { values } = backend.dataOf(first.dataId);
      first.dispose();
      const second = tf.neg(x);
      expect(backend.dataOf(second.dataId).values).toBe(values);
      const shown = second.dataSync();
      second.dispose();
      const third = tf.exp(tf.neg(x));
      expect(backend.dataOf(third.dataId).values).not.toBe(shown);
      expect(Array.from(shown.slice(0, 3))).toEqual([-0, -1, -2]);
    });

    it("never writes over an array of the user's", () => {
      const mine = Float32Array.of(1, 2, 3, 4);
      const x = tf.tensor1d(mine);
      for (let i = 0; i < 3; i++) {
        tf.square(x).dispose();
        const y = tf.tensor1d(mine);
        y.dispose();
        tf.neg(x).dispose();
      }
      expect(Array.from(mine)).toEqual([1, 2, 3, 4]);
    });

    it('takes tensors of other backends, and gives them its own', async () => {
      await tf.setBackend('cpu');
      const x = tf.tensor2d([[1, 2]]);
      const words = tf.tensor1d(['a', 'bé']);
      const z = tf.complex([1, 2], [3, 4]);
      await tf.setBackend('unrolled');
      const y = tf.add(x, x);
      expect(Array.from(y.dataSync())).toEqual([2, 4]);
      expect(tf.concat([words, words.reshape([2])]).dataSync()).toEqual(['a', 'bé', 'a', 'bé']);
      expect(Array.from(tf.imag(z).dataSync())).toEqual([3, 4]);
      await tf.setBackend('cpu');
      expect(Array.from(tf.mul(y, x).dataSync())).toEqual([2, 8]);
      await tf.setBackend('unrolled');
      expect(Array.from(tf.mul(y, x).dataSync())).toEqual([2, 8]);
    });

    it('says which kernels ran on tfjs, and how often', () => {
      tf.unique(tf.tensor1d([3, 3, 1]));
      tf.unique(tf.tensor1d([3, 3, 1]));
      tf.image.nonMaxSuppression(tf.tensor2d([[0, 0, 1, 1]]), tf.tensor1d([0.9]), 1);
      tf.relu(tf.tensor1d([1]));
      expect(backend.fallbacks()).toEqual([
        { kernel: 'Unique', calls: 2 },
        { kernel: 'NonMaxSuppressionV3', calls: 1 },
      ]);
    });

    it('throws for indices outside, as tfjs does, and leaves nothing behind', () => {
      const x = tf.tensor2d([
        [1, 2],
        [3, 4],
      ]);
      const calls = [
        () => tf.gather(x, tf.tensor1d([0, 2], 'int32')),
        () => tf.gather(x, tf.tensor1d([-1], 'int32')),
        () => tf.gatherND(x, tf.tensor2d([[2, 0]], [1, 2], 'int32')),
        () => tf.scatterND(tf.tensor2d([[4]], [1, 1], 'int32'), tf.tensor1d([1]), [4]),
        () => tf.tensorScatterUpdate(x, tf.tensor2d([[5]], [1, 1], 'int32'), tf.tensor2d([[1, 1]])),
        () => tf.sparseToDense(tf.tensor1d([9], 'int32'), tf.tensor1d([1]), [4]),
        () => tf.bincount(tf.tensor1d([-1], 'int32'), [] as never, 3),
      ];
      for (const call of calls) {
        const before = backend.numDataIds();
        expect(() => tf.tidy(call)).toThrow();
        expect(backend.numDataIds()).toBe(before);
      }
    });

    it('makes one program for all limits of clipByValue, all slopes of leakyRelu, all rows of slice', () => {
      const x = tf.linspace(-3, 3, 70).reshape([10, 7]) as tf.Tensor2D;
      tf.clipByValue(x, -1, 1);
      tf.leakyRelu(x, 0.1);
      tf.step(x, 0.1);
      const { compiled } = backend.compiled();
      for (let i = 1; i < 10; i++) {
        const low = tf.clipByValue(x, -i / 7, i / 5).dataSync();
        const value = Math.fround(-3);
        expect(low[0]).toBe(Math.max(value, Math.fround(-i / 7)));
        expect(tf.leakyRelu(x, i / 7).dataSync()[0]).toBe(Math.fround(Math.fround(i / 7) * value));
        expect(tf.step(x, i / 7).dataSync()[0]).toBe(Math.fround(i / 7));
        expect(tf.slice(x, [i, 0], [1, 7]).dataSync()[0]).toBe(x.dataSync()[7 * i]);
      }
      expect(backend.compiled().compiled).toBe(compiled);
      expect(tf.clipByValue(tf.tensor1d([Number.NaN]), 0, 1).dataSync()[0]).toBeNaN();
      expect(
        Array.from(tf.clipByValue(tf.tensor1d([-7, 16777217], 'int32'), -3, 20000000).dataSync()),
      ).toEqual([-3, 16777217]);
    });

    it('keeps no more programs than it says, however many shapes come', () => {
      const { capacity } = backend.compiled();
      for (let n = 1; n <= capacity + 200; n++) tf.tidy(() => tf.neg(tf.zeros([n])));
      expect(backend.compiled().size).toBeLessThanOrEqual(capacity);
      expect(Array.from(tf.neg(tf.ones([3])).dataSync())).toEqual([-1, -1, -1]);
    });

    it('is read by traces and compiled functions as any other backend', async () => {
      const { jit } = await import('../../src/transform/jit.js');
      const w = tf.tensor2d([
        [1, 2],
        [3, 4],
      ]);
      const f = jit((x: tf.Tensor) => tf.matMul(x as tf.Tensor2D, w));
      const y = (await f(tf.tensor2d([[1, 1]]))) as tf.Tensor;
      expect(Array.from(tf.add(y, 1).dataSync())).toEqual([5, 7]);
    });
  });
