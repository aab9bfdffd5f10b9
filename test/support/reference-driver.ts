/**
 * A device for tests, in plain TypeScript: every particle's graphs are evaluated one node at a time by the reference evaluator. Slow, and
 * independent of both real devices.
 */
import { checkRun, checkSnapshot } from '../../src/device/checks.js';
import type {
  DeviceDriver,
  DriverState,
  LeafSpec,
  LoadedProgram,
  MetricRecord,
  NoiseKernels,
  RunRequest,
  RunResult,
  StateSnapshot,
  UnrollSpec,
} from '../../src/device/driver.js';
import { DisposedError, UnrolledError } from '../../src/errors.js';
import { evaluateGraph } from '../../src/graph/evaluate.js';
import { type Graph, type GraphNode, sizeOf, type TypedArray } from '../../src/graph/graph.js';
import {
  addNormalRows,
  fillBernoulli,
  fillIntegers,
  fillNormal,
  fillNormalRows,
  fillUniform,
  STREAMS,
  weightedRowSum,
} from '../../src/random/index.js';
import { ReferenceFunction } from './reference-function.js';

function emptyLeaf({ shape, dtype }: LeafSpec, rows: number): TypedArray {
  const n = rows * sizeOf(shape);
  if (dtype === 'bool') return new Uint8Array(n);
  return dtype === 'int32' ? new Int32Array(n) : new Float32Array(n);
}

/** Live states, programs and functions, so that tests can show that nothing is left. */
export interface LiveCounts {
  states: number;
  programs: number;
  functions: number;
}

class ReferenceState implements DriverState {
  #disposed = false;
  constructor(
    readonly spec: UnrollSpec,
    readonly snapshot: StateSnapshot,
    readonly live: LiveCounts,
  ) {
    live.states++;
  }
  get particles(): number {
    return this.snapshot.t.length;
  }
  get bytes(): number {
    return this.snapshot.leaves.reduce((sum, values) => sum + values.byteLength, 0);
  }
  check(): void {
    if (this.#disposed) throw new DisposedError('the state');
  }
  async export(): Promise<StateSnapshot> {
    this.check();
    const { leaves, t, fresh } = this.snapshot;
    return { leaves: leaves.map((values) => values.slice()), t: t.slice(), fresh: fresh.slice() };
  }
  async gather(ancestors: Int32Array): Promise<DriverState> {
    this.check();
    const { leaves, t, fresh } = this.snapshot;
    const gathered = leaves.map((values, k) => {
      const size = sizeOf(this.spec.state[k].shape);
      const out = emptyLeaf(this.spec.state[k], ancestors.length);
      ancestors.forEach((from, i) => {
        out.set(values.subarray(from * size, (from + 1) * size), i * size);
      });
      return out;
    });
    const snapshot = {
      leaves: gathered,
      t: Int32Array.from(ancestors, (i) => t[i]),
      fresh: Uint8Array.from(ancestors, (i) => fresh[i]),
    };
    return new ReferenceState(this.spec, snapshot, this.live);
  }
  dispose(): void {
    if (!this.#disposed) this.live.states--;
    this.#disposed = true;
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The draw of a random node for one particle. */
function drawNode(
  node: GraphNode,
  stream: number,
  seed: number,
  step: number,
  particle: number,
  pairs: number,
): TypedArray {
  if (node.op.name !== 'random') throw new Error('not a random node');
  const { kind, share, draw } = node.op;
  const subject = share === 'all' ? 0 : share === 'pair' && pairs > 0 ? particle % pairs : particle;
  const words = { seed, stream, draw, step, subject };
  const n = sizeOf(node.shape);
  switch (kind.distribution) {
    case 'normal': {
      const out = new Float32Array(n);
      fillNormal(out, words);
      return out;
    }
    case 'uniform': {
      const out = new Float32Array(n);
      fillUniform(out, words, kind.low, kind.high);
      return out;
    }
    case 'integers': {
      const out = new Int32Array(n);
      fillIntegers(out, words, kind.low, kind.high);
      return out;
    }
    case 'bernoulli': {
      const out = new Uint8Array(n);
      fillBernoulli(out, words, kind.p);
      return out;
    }
  }
}

/** [particles][P] */
function thetasOf({ theta, antithetic }: RunRequest, particles: number, P: number): Float32Array[] {
  const { kind } = theta;
  if (kind === 'shared') return Array.from({ length: particles }, () => theta.values);
  if (kind === 'perParticle') {
    return Array.from({ length: particles }, (_, i) => theta.values.subarray(i * P, (i + 1) * P));
  }
  const pairs = antithetic ? particles / 2 : particles;
  const eps = new Float32Array(pairs * P);
  fillNormalRows(eps, P, { seed: theta.seed, stream: STREAMS.theta, draw: 0, step: theta.noiseStep });
  return Array.from({ length: particles }, (_, i) => {
    const sign = i >= pairs ? -1 : 1;
    const row = (i % pairs) * P;
    return theta.mean.map((m, j) => m + Math.fround(sign * theta.sigma[j] * eps[row + j]));
  });
}

class ReferenceProgram implements LoadedProgram {
  #data: readonly TypedArray[];
  #disposed = false;
  constructor(
    readonly spec: UnrollSpec,
    data: readonly TypedArray[],
    readonly live: LiveCounts,
  ) {
    this.#data = data.map((values) => values.slice());
    live.programs++;
  }

  createState(particles: number, t = new Int32Array(particles)): DriverState {
    const leaves = this.spec.state.map((leaf) => emptyLeaf(leaf, particles));
    return new ReferenceState(
      this.spec,
      { leaves, t: t.slice(), fresh: new Uint8Array(particles).fill(1) },
      this.live,
    );
  }

  async importState(snapshot: StateSnapshot): Promise<DriverState> {
    checkSnapshot(this.spec, snapshot);
    const { leaves, t, fresh } = snapshot;
    const copy = { leaves: leaves.map((values) => values.slice()), t: t.slice(), fresh: fresh.slice() };
    return new ReferenceState(this.spec, copy, this.live);
  }

  setData(values: readonly TypedArray[]): void {
    this.#data = values.map((each) => each.slice());
  }

  async run(request: RunRequest): Promise<RunResult> {
    checkRun(this.spec, request);
    const state = request.state as ReferenceState;
    state.check();
    const { spec } = this;
    const { particles } = state;
    const { steps, record } = request;
    const P = spec.theta.reduce((sum, leaf) => sum + sizeOf(leaf.shape), 0);
    const thetas = thetasOf(request, particles, P);
    const pairs = request.antithetic ? particles / 2 : 0;
    const lossSums = new Float64Array(2 * particles);
    const firstSteps = new Int32Array(particles);
    const losses = new Float32Array(steps * particles);
    const metric = () => ({
      sums: new Float64Array(particles),
      last: new Float32Array(particles),
      perStep: new Float32Array(steps * particles),
    });
    const metrics: Record<string, ReturnType<typeof metric>> = Object.fromEntries(
      spec.metrics.map((name) => [name, metric()]),
    );
    const { leaves, t, fresh } = state.snapshot;
    for (let i = 0; i < particles; i++) {
      const base: Record<string, TypedArray> = { 'particle.particle': Int32Array.of(i) };
      let offset = 0;
      for (const { path, shape } of spec.theta) {
        base[`theta.${path}`] = thetas[i].slice(offset, offset + sizeOf(shape));
        offset += sizeOf(shape);
      }
      spec.data.forEach(({ path }, k) => {
        base[`data.${path}`] = this.#data[k];
      });
      const evaluate = (graph: Graph, stream: number, step: number, inputs: Record<string, TypedArray>) =>
        evaluateGraph(graph, inputs, (node) => drawNode(node, stream, request.seed, step, i, pairs));
      const view = (k: number) => {
        const size = sizeOf(spec.state[k].shape);
        return leaves[k].subarray(i * size, (i + 1) * size);
      };
      const store = (outputs: Record<string, { values: TypedArray }>) => {
        const next = spec.state.map(({ path }) => outputs[`state.${path}`].values);
        next.forEach((values, k) => {
          view(k).set(values);
        });
      };
      let ended = false;
      for (let s = 0; s < steps; s++) {
        const step = (request.firstStep + s) >>> 0;
        if (fresh[i]) store(evaluate(spec.init, STREAMS.init, step, base));
        fresh[i] = 0;
        const inputs: Record<string, TypedArray> = { ...base, 't.t': Int32Array.of(t[i]) };
        spec.state.forEach(({ path }, k) => {
          inputs[`state.${path}`] = view(k).slice();
        });
        const outputs = evaluate(spec.step, STREAMS.step, step, inputs);
        store(outputs);
        const loss = outputs.loss.values[0];
        lossSums[(ended ? particles : 0) + i] += loss;
        if (!ended) firstSteps[i]++;
        losses[s * particles + i] = loss;
        for (const name of spec.metrics) {
          const value = outputs[`metrics.${name}`].values[0];
          metrics[name].sums[i] += value;
          metrics[name].last[i] = value;
          metrics[name].perStep[s * particles + i] = value;
        }
        t[i]++;
        if (t[i] >= spec.horizon) {
          t[i] = 0;
          fresh[i] = 1;
          ended = true;
        }
      }
    }
    const shown: Record<string, MetricRecord> = {};
    for (const name of spec.metrics) {
      const { sums, last, perStep } = metrics[name];
      shown[name] = { sums, last, ...(record === 'perStep' && { perStep }) };
    }
    return { lossSums, firstSteps, metrics: shown, ...(record === 'perStep' && { losses }) };
  }

  loadReverse(): never {
    throw new UnrolledError('ERR_OPTION', 'the reference device does not run backwards');
  }

  plan() {
    const text = 'reference';
    return {
      device: 'cpu' as const,
      text,
      lanes: 1,
      arenaBytes: 0,
      stateBytesPerParticle: 0,
      flopsPerStep: 0,
    };
  }
  dispose(): void {
    if (!this.#disposed) this.live.programs--;
    this.#disposed = true;
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}

const noise: NoiseKernels = {
  fill: async ({ rows, dim, seed, noiseStep }) => {
    const out = new Float32Array(rows * dim);
    fillNormalRows(out, dim, { seed, stream: STREAMS.theta, draw: 0, step: noiseStep });
    return out;
  },
  accumulate: async (accumulator, scale, { seed, noiseStep }) => {
    addNormalRows(accumulator, scale, { seed, stream: STREAMS.theta, draw: 0, step: noiseStep });
  },
  weightedRowSum: async (weights, matrix, dim) => weightedRowSum(weights, matrix, dim),
};

/** A reference device and its counts of live objects. */
export function referenceDriver(): DeviceDriver & { readonly live: LiveCounts } {
  const live: LiveCounts = { states: 0, programs: 0, functions: 0 };
  return {
    kind: 'cpu',
    description: 'reference evaluator',
    notes: [],
    noise,
    live,
    load: (spec, data) => new ReferenceProgram(spec, data, live),
    loadFunction: (spec) =>
      new ReferenceFunction(spec, live, (node, seed, step) => drawNode(node, STREAMS.step, seed, step, 0, 0)),
    dispose: async () => {},
  };
}
