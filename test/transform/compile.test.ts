import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { OptionError, ShapeError, TraceError } from '../../src/errors.js';
import { defineUnroll } from '../../src/transform/define.js';
import { Device } from '../../src/transform/device.js';
import { bool, int32, shape } from '../../src/transform/leaf.js';
import { referenceDriver } from '../support/reference-driver.js';

const device = new Device(referenceDriver());
const parts = {
  horizon: 3,
  theta: { rate: shape() },
  init: () => ({ x: tf.zeros([2]) }),
};

describe('a definition', () => {
  it('names what is missing, misspelt or malformed', () => {
    const define = defineUnroll as (definition: object) => unknown;
    const step = () => ({});
    expect(() => define({ ...parts, step, horizonn: 3 })).toThrow(
      /no option "horizonn" \(misspelt "horizon"\?\)/,
    );
    expect(() => define({ ...parts })).toThrow(/step must be a function/);
    expect(() => define({ ...parts, step, horizon: 0 })).toThrow(/horizon must be an integer in 1/);
    expect(() => define({ ...parts, step, horizon: 2.5 })).toThrow(/got 2.5/);
    expect(() => define({ horizon: 1, init: step, step })).toThrow(/lacks "theta"/);
    expect(() => define(5 as never)).toThrow(OptionError);
  });
});

describe('compiling', () => {
  const compile = (step: unknown, extra: object = {}, data?: unknown) =>
    device.compile(
      defineUnroll({ ...parts, ...extra, step: step as never }),
      data === undefined ? {} : { data },
    );
  const loss = () => tf.scalar(0);

  it('refuses a state that changes over a step, naming the path, what was wanted and what came', () => {
    const step = (x: () => unknown) => () => compile(() => ({ state: x(), loss: loss() }));
    expect(step(() => ({ x: tf.zeros([3]) }))).toThrow(
      /state at "x".*wanted float32 \[2\], got float32 \[3\]/,
    );
    expect(step(() => ({ x: tf.zeros([2], 'int32') }))).toThrow(/wanted float32 \[2\], got int32 \[2\]/);
    expect(step(() => ({}))).toThrow(/"x" \(float32 \[2\]\) is missing/);
    expect(step(() => ({ x: tf.zeros([2]), y: tf.zeros([1]) }))).toThrow(
      /state "y", which init does not have/,
    );
    expect(step(() => ({ x: tf.zeros([3]) }))).toThrow(ShapeError);
    expect(step(() => undefined)).toThrow(/must return the next state/);
  });

  it('says why a counter became float32', () => {
    const init = () => ({ n: tf.scalar(0, 'int32') });
    const step = ({ state }: { state: { n: tf.Tensor } }) => ({ state: { n: state.n.add(1) }, loss: loss() });
    expect(() => compile(step, { init })).toThrow(
      /"n".*wanted int32 \[\], got float32 \[\] .*tf\.scalar\(1, 'int32'\)/,
    );
  });

  it('refuses losses and metrics that are no scalars', () => {
    const step = (result: () => object) => () =>
      compile(({ state }: { state: object }) => ({ state, loss: loss(), ...result() }));
    expect(step(() => ({ loss: tf.zeros([2]) }))).toThrow(/loss of step must be a scalar, got float32 \[2\]/);
    expect(step(() => ({ loss: undefined }))).toThrow(/loss of step must be a scalar tensor/);
    expect(step(() => ({ metrics: { accuracy: tf.zeros([1]) } }))).toThrow(
      /metric "accuracy" of step must be a scalar/,
    );
    expect(step(() => ({ metric: {} }))).toThrow(/misspelt "metrics"/);
    expect(step(() => ({ metrics: null }))).toThrow(/metrics of step must be an object .*, got null/);
    expect(step(() => ({ metrics: [loss()] }))).toThrow(/metrics of step must be an object/);
    expect(() => compile(() => undefined)).toThrow(
      /step must return \{ state, loss, metrics\? \}, got undefined/,
    );
  });

  it('takes integer and boolean losses and metrics as float32', async () => {
    using program = compile(({ state }: { state: object }) => ({
      state,
      loss: tf.scalar(3, 'int32'),
      metrics: { yes: tf.scalar(true, 'bool') },
    }));
    const run = await program.run({ state: program.createState(1), theta: { rate: 0 }, steps: 1, seed: 0 });
    expect(run.meanLoss).toBe(3);
    expect(run.metrics).toMatchObject({ yes: { last: Float32Array.of(1) } });
  });

  it('refuses what cannot be traced', () => {
    expect(() => compile(({ state }: { state: object }) => ({ state, loss: tf.randomNormal([]) }))).toThrow(
      TraceError,
    );
    expect(() =>
      compile(({ state }: { state: { x: tf.Tensor } }) => ({
        state,
        loss: tf.scalar(state.x.dataSync()[0]),
      })),
    ).toThrow(TraceError);
    expect(() => device.compile(defineUnroll({ ...parts, step: (async () => ({})) as never }))).toThrow(
      TraceError,
    );
  });

  it('hands callbacks the structures of theta, data and state', () => {
    let seen: unknown;
    using program = device.compile(
      defineUnroll({
        horizon: 2,
        theta: { a: shape(2), deep: [shape(), { b: shape(1, 2) }] },
        data: { x: shape(null, 3), labels: int32(null), mask: bool(4) },
        init: ({ theta }) => ({
          first: theta.a,
          list: [tf.scalar(1), { n: tf.scalar(2, 'int32') }] as const,
        }),
        step: ({ theta, state, data, t, particle }) => {
          seen = [theta.deep[1].b, data.x, data.labels, data.mask, state.list[1].n, t, particle].map(
            (tensor) => [tensor.dtype, tensor.shape],
          );
          return { state, loss: tf.sum(theta.deep[0]) };
        },
      }),
      { data: { x: tf.zeros([4, 3]), labels: Int32Array.of(1, 2, 3, 4), mask: [true, false, true, false] } },
    );
    expect(seen).toEqual([
      ['float32', [1, 2]],
      ['float32', [4, 3]],
      ['int32', [4]],
      ['bool', [4]],
      ['int32', []],
      ['int32', []],
      ['int32', []],
    ]);
    expect(program.theta.leaves.map(({ path }) => path)).toEqual(['a', 'deep.0', 'deep.1.b']);
  });

  it('checks data against its description, and settles open axes', () => {
    const withData = (spec: object, data?: unknown) => () =>
      device.compile(
        defineUnroll({ ...parts, data: spec as never, step: ({ state }) => ({ state, loss: tf.scalar(0) }) }),
        data === undefined ? {} : ({ data } as never),
      );
    expect(withData({ x: shape(2) })).toThrow(/compile needs \{ data \}/);
    expect(withData({ x: shape(2) }, { y: [1, 2] })).toThrow(/data has no "y"/);
    expect(withData({ x: shape(2) }, { x: [1, 2, 3] })).toThrow(
      /data at "x" must have shape \[2\].*got 3 values/,
    );
    expect(withData({ x: shape(null, 2) }, { x: new Float32Array(5) })).toThrow(/\[any, 2\]/);
    expect(withData({ x: shape(null, 2) }, { x: tf.zeros([2, 3]) })).toThrow(
      /must have shape \[any, 2\], got \[2, 3\]/,
    );
    expect(withData({ x: shape(null, null) }, { x: new Float32Array(4) })).toThrow(
      /tensor or a nested array/,
    );
    expect(withData({ x: int32(2) }, { x: [1.5, 2] })).toThrow(/must hold int32 values, element 0 is 1.5/);
    expect(withData({ x: shape(null, 2) }, { x: new Float32Array(6) })().loaded.spec.data[0].shape).toEqual([
      3, 2,
    ]);
  });

  it('takes data that the definition does not describe', async () => {
    using program = compile(
      ({ state, data }: { state: object; data: { x: tf.Tensor; k: tf.Tensor } }) => ({
        state,
        loss: tf.sum(data.x).mul(data.k),
      }),
      {},
      { x: tf.tensor2d([[1, 2]]), k: 3 },
    );
    const run = async () =>
      (await program.run({ state: program.createState(1), theta: { rate: 0 }, steps: 1, seed: 0 })).meanLoss;
    expect(await run()).toBe(9);
    program.setData({ x: [[5, 6]], k: 2 });
    expect(await run()).toBe(22);
    expect(() => program.setData({ x: [[5, 6, 7]], k: 2 })).toThrow(
      /data at "x" must have shape \[1, 2\].*got \[1, 3\]|got 3 values/,
    );
    expect(() => program.setData({ x: [[5, 6]] })).toThrow(/differs at "k"/);
  });

  it('lets a state, a theta and data be single tensors', async () => {
    using program = device.compile(
      defineUnroll({
        horizon: 5,
        theta: shape(2),
        data: shape(2),
        init: ({ theta }) => theta,
        step: ({ state, data }) => {
          const next = tf.mul(state, data);
          return { state: next, loss: tf.sum(next) };
        },
      }),
      { data: [2, 3] },
    );
    const state = program.createState(1);
    const run = await program.run({ state, theta: [1, 10], steps: 2, seed: 0 });
    expect(run.meanLoss).toBe((2 + 30 + 4 + 90) / 2);
    expect((await state.export()).state).toEqual(Float32Array.of(4, 90));
  });

  it('prints the traced graphs', () => {
    using program = compile(({ state, theta }: { state: { x: tf.Tensor }; theta: { rate: tf.Tensor } }) => ({
      state: { x: state.x.add(theta.rate) },
      loss: theta.rate,
    }));
    expect(program.graphs.step).toBe(
      [
        '%0 = input {theta "rate"} : float32[]',
        '%1 = input {state "x"} : float32[2]',
        '%2 = add(%1, %0) : float32[2]',
        'return loss = %0',
        'return state.x = %2',
      ].join('\n'),
    );
  });

  it('leaves no tensors behind', () => {
    const before = tf.memory().numTensors;
    compile(({ state }: { state: { x: tf.Tensor } }) => ({
      state: { x: tf.exp(state.x) },
      loss: tf.sum(state.x),
    })).dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});
