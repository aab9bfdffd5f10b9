import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { LOWERINGS } from '../../src/trace/kernels.js';
import { kernelRefusal } from '../../src/trace/refusals.js';
import { kernelNames, opsPage } from './ops-table.js';

describe('docs/ops.md', () => {
  beforeAll(async () => {
    await tf.setBackend('cpu');
  });
  it('is what the code says; after a change, run npm run docs:ops', () => {
    const page = readFileSync(new URL('../../docs/ops.md', import.meta.url), 'utf8');
    expect(page.split('\n')).toEqual(opsPage().split('\n'));
  });
  it('has a reason for every kernel that cannot be traced', () => {
    const without = kernelNames().filter(
      (name) => !(name in LOWERINGS) && kernelRefusal(name).kind === 'missing',
    );
    expect(without).toEqual(['Complex', 'Imag', 'Real']);
  });
});
