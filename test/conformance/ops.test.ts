/**
 * Every op on every device against eager tfjs, particle by particle: odd shapes, particle counts around the lane count, operands that all
 * particles share, NaN and infinities. Tolerance: 1e-5 relative + 1e-6 absolute in float32; int32 and bool exactly.
 */
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeviceDriver } from '../../src/device/driver.js';
import { CASES, type Case } from './cases.js';
import { difference, eager, onDevice, type Result } from './compare.js';
import { DEVICES } from './devices.js';

const MOST = 17;
/** Ops that also run for many particles: one of each kind. */
const MANY = [
  'exp [17]',
  'add [3,1] [1,17]',
  "matMul [5,3]' [5,2]",
  'max [2,3,5] over 1',
  'gather',
  'softmax',
];

/** Which arguments all particles share: none, and each one in turn (a gather by common indices is other code than one by own). */
function sharings(n: number): boolean[][] {
  const none = new Array<boolean>(n).fill(false);
  return n < 2 ? [none] : [none, ...none.map((_, i) => none.map((_, j) => i === j))];
}

const wantedOf = new Map<string, Result[][]>();

/** Eager results of particles 0..count-1; they are the same for every device, hence made once. */
function wanted(test: Case, shared: readonly boolean[], count: number): Result[][] {
  const key = `${test.name} ${shared}`;
  const known = wantedOf.get(key) ?? [];
  for (let p = known.length; p < count; p++)
    known.push(eager(test.reference ?? test.fn, test.args, p, shared));
  wantedOf.set(key, known);
  return known;
}

beforeAll(async () => {
  await tf.setBackend('cpu');
});

for (const { name, open } of DEVICES) {
  // Lanes come in eights and sixteens; tfjs has none.
  const counts = name.startsWith('tfjs') ? [1, MOST] : [1, 15, 16, MOST];
  describe(`on ${name}`, () => {
    let driver: DeviceDriver;
    beforeAll(async () => {
      driver = await open();
    });
    afterAll(async () => {
      await driver.dispose();
    });

    async function check(test: Case, shared: readonly boolean[], count: number): Promise<void> {
      const results = await onDevice(driver, test.fn, test.args, count, shared);
      const expected = wanted(test, shared, count);
      for (let p = 0; p < count; p++) {
        expect(results[p].length).toBe(expected[p].length);
        results[p].forEach((result, i) => {
          const wrong = difference(result, expected[p][i], {
            relative: 1e-5,
            absolute: test.absolute ?? 1e-6,
          });
          if (wrong)
            expect.fail(`${count} particles, particle ${p}, shared ${shared}, result ${i}: ${wrong}`);
        });
      }
    }

    for (const test of CASES) {
      it(test.name, async () => {
        for (const shared of sharings(test.args.length)) {
          // The counts matter for the lanes, the sharing for the code that is taken.
          for (const count of shared.includes(true) ? [MOST] : counts) await check(test, shared, count);
        }
        if (MANY.includes(test.name))
          await check(
            test,
            test.args.map(() => false),
            1000,
          );
      });
    }
  });
}
