import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../src/errors.js';
import { fillNormalRows, foldIn, STREAMS } from '../../src/random/index.js';
import {
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
  programFingerprint,
} from '../../src/transform/checkpoint.js';
import { Device } from '../../src/transform/device.js';
import { referenceDriver } from '../support/reference-driver.js';
import { estimatorOf, FIXTURE_THETA, fixtureProgram } from './fixtures/program.js';

const sample: Checkpoint = {
  kind: 'state',
  fingerprint: 'f',
  numbers: { step: 3, note: 'ünïcode' },
  arrays: {
    floats: Float32Array.of(1.5, -0, Number.NaN, Number.POSITIVE_INFINITY),
    doubles: Float64Array.of(Math.PI),
    ints: Int32Array.of(-1, 2 ** 31 - 1, 7),
    words: Uint32Array.of(0xffffffff),
    bytes: Uint8Array.of(1, 0, 1),
    none: new Float32Array(0),
  },
};

describe('checkpoints', () => {
  it('give back what was saved, bit for bit', () => {
    expect(decodeCheckpoint(encodeCheckpoint(sample), 'state', 'f')).toEqual(sample);
  });

  it('can be read from the middle of a larger buffer', () => {
    const bytes = encodeCheckpoint(sample);
    const larger = new Uint8Array(bytes.length + 3);
    larger.set(bytes, 3);
    expect(decodeCheckpoint(larger.subarray(3), 'state', 'f')).toEqual(sample);
  });

  it('are refused where a single byte differs, wherever it is', () => {
    const bytes = encodeCheckpoint(sample);
    for (let i = 0; i < bytes.length; i++) {
      const damaged = bytes.slice();
      damaged[i] ^= 0x10;
      expect(() => decodeCheckpoint(damaged, 'state', 'f'), `byte ${i}`).toThrow(CheckpointError);
    }
  });

  it('are refused when cut short or foreign, each with its reason', () => {
    const bytes = encodeCheckpoint(sample);
    expect(() => decodeCheckpoint(bytes.subarray(0, bytes.length - 1), 'state', 'f')).toThrow(/damaged/);
    expect(() => decodeCheckpoint(bytes.subarray(0, 20), 'state', 'f')).toThrow(/UNROLLED/);
    expect(() => decodeCheckpoint(new TextEncoder().encode('PK'.repeat(50)), 'state', 'f')).toThrow(
      /UNROLLED/,
    );
    expect(() => decodeCheckpoint(bytes, 'pes', 'f')).toThrow(/holds "state", wanted "pes"/);
    expect(() => decodeCheckpoint(bytes, 'state', 'g')).toThrow(/another program/);
    const newer = bytes.slice();
    newer[8] = 2;
    expect(() => decodeCheckpoint(newer, 'state', 'f')).toThrow(/version 2, this library reads up to 1/);
    expect(() => encodeCheckpoint({ ...sample, numbers: { x: Number.NaN } })).toThrow(/only finite numbers/);
  });

  it('belong to the leaves and the horizon of a program', () => {
    const leaf = { path: 'w', shape: [2], dtype: 'float32' } as const;
    const prints = [
      programFingerprint([leaf], [leaf], 5),
      programFingerprint([leaf], [leaf], 6),
      programFingerprint([leaf], [leaf], Number.POSITIVE_INFINITY),
      programFingerprint([leaf], [{ ...leaf, shape: [3] }], 5),
      programFingerprint([leaf], [{ ...leaf, path: 'v' }], 5),
      programFingerprint([leaf], [{ ...leaf, dtype: 'int32' }], 5),
    ];
    expect(new Set(prints).size).toBe(prints.length);
    expect(programFingerprint([leaf], [leaf], 5)).toBe(prints[0]);
  });
});

describe('a file of version 1', () => {
  const read = (name: string) => new Uint8Array(readFileSync(new URL(`fixtures/${name}`, import.meta.url)));

  it('still loads as a state', async () => {
    using program = fixtureProgram(new Device(referenceDriver()));
    const state = await program.loadCheckpoint(read('state-v1.bin'));
    const { state: leaves, t, fresh, stepsDone } = await state.export();
    // x = ((b a + t / 4) a + (t + 1) / 4) from b = (1, -1), a = 1/2, t = 0, 1, 2: by hand.
    expect(leaves.nested).toEqual([
      { x: Float32Array.of(0.5, 0, 0.875, 0.375, 1.25, 0.75) },
      Int32Array.of(5, 5, 5),
    ]);
    expect(leaves.flag).toEqual(Uint8Array.of(1, 1, 1));
    expect([t, fresh, stepsDone]).toEqual([Int32Array.of(2, 3, 4), Uint8Array.of(0, 0, 0), 2]);
  });

  it('still loads as a PES state, and goes on', async () => {
    using program = fixtureProgram(new Device(referenceDriver()));
    const estimator = estimatorOf(program);
    const state = await estimator.restore(read('pes-v1.bin'));
    expect([state.update, state.step, state.seed, ...state.t]).toEqual([1, 2, 7, 2, 2]);
    const eps = new Float32Array(6);
    fillNormalRows(eps, 3, { seed: foldIn(7, 2), stream: STREAMS.theta, draw: 0, step: 0 });
    expect(state.accumulator).toEqual(eps.map((value) => 4 * value));
    const { info } = await estimator.step(FIXTURE_THETA, state);
    expect(info.droppedPairs).toBe(0);
  });
});
