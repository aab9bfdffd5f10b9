/** One run: particles in chunks, each chunk through all steps, with losses and metrics collected on the host. */
import * as tf from '@tensorflow/tfjs';
import { type GraphNode, sizeOf, type TypedArray } from '../../graph/graph.js';
import { STREAMS } from '../../random/index.js';
import { select } from '../../replay/elementwise.js';
import { broadcast } from '../../replay/operand.js';
import type { LeafSpec, MetricRecord, RunRequest, RunResult, StateSnapshot, UnrollSpec } from '../driver.js';
import { drawNode, type ParticleRange, thetaRows } from './draws.js';
import { Arena, runLevel, type Schedule } from './executor.js';
import type { Stretch } from './stretch.js';

/** The two graphs of a program, scheduled for the kind of theta at hand. */
export interface Schedules {
  readonly init: Schedule;
  readonly step: Schedule;
}

/** What a run reads and writes. `arrays` is advanced in place. */
export interface RunSetup {
  readonly spec: UnrollSpec;
  readonly schedules: Schedules;
  readonly data: readonly TypedArray[];
  readonly arrays: StateSnapshot;
  readonly request: RunRequest;
  readonly backend: string;
  /** Particles that go through the steps together. */
  readonly chunk: number;
  readonly stretch: Stretch;
  /** Told after every step of a chunk how many particle-steps were done. */
  readonly onSteps: (particleSteps: number) => void;
}

function emptyResult({ spec, request }: RunSetup): RunResult {
  const { steps, record } = request;
  const { particles } = request.state;
  const every = () => (record === 'perStep' ? new Float32Array(steps * particles) : undefined);
  const metrics: Record<string, MetricRecord> = {};
  for (const name of spec.metrics) {
    metrics[name] = {
      sums: new Float64Array(particles),
      last: new Float32Array(particles),
      perStep: every(),
    };
  }
  return {
    lossSums: new Float64Array(2 * particles),
    firstSteps: new Int32Array(particles),
    losses: every(),
    metrics,
  };
}

/** Runs all chunks. Called inside a stretch and ends inside one, also when it throws after AbortedError. No tensor outlives it. */
export async function runChunks(setup: RunSetup): Promise<RunResult> {
  const result = emptyResult(setup);
  const { particles } = setup.request.state;
  const call = { init: new Arena(), step: new Arena() };
  const called = new Set<'init' | 'step'>();
  try {
    for (let first = 0; first < particles; first += setup.chunk) {
      const chunk = new Chunk(setup, result, call, called, {
        first,
        count: Math.min(setup.chunk, particles - first),
        pairs: setup.request.antithetic ? particles / 2 : 0,
      });
      try {
        await chunk.run();
      } finally {
        chunk.dispose();
      }
    }
    return result;
  } finally {
    call.init.dispose();
    call.step.dispose();
  }
}

/** Particles first .. first + count - 1 on their way through the steps of a run. */
class Chunk {
  readonly #tile = { init: new Arena(), step: new Arena() };
  readonly #tiled = new Set<'init' | 'step'>();
  /** State leaves, [count, ...shape]. */
  #state: tf.Tensor[] = [];
  /** Thetas of the chunk, made when first needed. */
  #theta: Float32Array | undefined;
  readonly #t: Int32Array;
  readonly #fresh: Uint8Array;
  readonly #ended: Uint8Array;

  constructor(
    private readonly setup: RunSetup,
    private readonly result: RunResult,
    private readonly call: Readonly<Record<'init' | 'step', Arena>>,
    private readonly called: Set<'init' | 'step'>,
    private readonly range: ParticleRange,
  ) {
    const { first, count } = range;
    this.#t = setup.arrays.t.slice(first, first + count);
    this.#fresh = setup.arrays.fresh.slice(first, first + count);
    this.#ended = new Uint8Array(count);
  }

  async run(): Promise<void> {
    const { spec, arrays, request } = this.setup;
    const { first, count } = this.range;
    this.#state = spec.state.map((leaf, i) => {
      const width = sizeOf(leaf.shape);
      const rows = arrays.leaves[i].slice(first * width, (first + count) * width);
      return tf.keep(tf.tensor(rows, [count, ...leaf.shape], leaf.dtype as 'float32'));
    });
    for (let s = 0; s < request.steps; s++) {
      if (this.#fresh.includes(1)) await this.#initialise(request.firstStep + s);
      await this.#step(s);
      this.setup.onSteps(count);
    }
    this.#state.forEach((tensor, i) => {
      arrays.leaves[i].set(tensor.dataSync(), first * sizeOf(spec.state[i].shape));
    });
    arrays.t.set(this.#t, first);
    arrays.fresh.set(this.#fresh, first);
  }

  dispose(): void {
    this.#tile.init.dispose();
    this.#tile.step.dispose();
    for (const tensor of this.#state) tensor.dispose();
    this.#state = [];
  }

  /** Runs the levels of a graph whose values are not there yet, then its step level, and hands the outputs to `use`. */
  async #evaluate(which: 'init' | 'step', step: number, use: (output: (path: string) => tf.Tensor) => void) {
    const { schedules, backend, stretch } = this.setup;
    const schedule = schedules[which];
    const source = (id: number) => this.#source(schedule, which, step, id);
    const base = { particles: this.range.count, backend };
    const call = this.call[which];
    const tile = this.#tile[which];
    if (!this.called.has(which)) {
      await runLevel(schedule, 'call', call, [], source, base, stretch);
      this.called.add(which);
    }
    if (!this.#tiled.has(which)) {
      await runLevel(schedule, 'tile', tile, [call], source, base, stretch);
      this.#tiled.add(which);
    }
    const arena = new Arena();
    try {
      await runLevel(schedule, 'step', arena, [tile, call], source, base, stretch);
      const nodes = new Map(schedule.graph.outputs.map(({ path, node }) => [path, node]));
      use((path) => {
        const id = nodes.get(path) as number;
        const tensor = (arena.get(id) ?? tile.get(id) ?? call.get(id)) as tf.Tensor;
        if (!schedule.uniform[id]) return tensor.clone();
        return broadcast(tensor, [this.range.count, ...schedule.graph.nodes[id].shape]);
      });
    } finally {
      arena.dispose();
    }
  }

  /** Puts the outcome of `init` in the place of the fresh particles' state. */
  async #initialise(step: number): Promise<void> {
    const { state } = this.setup.spec;
    const { count } = this.range;
    const everyone = !this.#fresh.includes(0);
    await this.#evaluate('init', step, (output) => {
      this.#replaceState(
        tf.tidy(() => {
          const fresh = tf.tensor1d(this.#fresh.slice(), 'bool');
          return state.map((leaf, i) => {
            const initial = output(`state.${leaf.path}`);
            if (everyone) return initial;
            const mask = tf.reshape(fresh, [count, ...leaf.shape.map(() => 1)]);
            return select(mask, initial, this.#state[i]);
          });
        }),
      );
    });
    this.#fresh.fill(0);
  }

  async #step(s: number): Promise<void> {
    const { spec, request } = this.setup;
    await this.#evaluate('step', request.firstStep + s, (output) => {
      this.#collect(s, output);
      this.#replaceState(tf.tidy(() => spec.state.map((leaf) => output(`state.${leaf.path}`))));
    });
    for (let i = 0; i < this.#t.length; i++) {
      this.#t[i]++;
      if (this.#t[i] >= spec.horizon) {
        this.#t[i] = 0;
        this.#fresh[i] = 1;
      }
    }
  }

  #replaceState(next: readonly tf.Tensor[]): void {
    for (const tensor of this.#state) tensor.dispose();
    this.#state = next.map((tensor) => tf.keep(tensor));
  }

  /** Adds a step's loss and metrics to the result. */
  #collect(s: number, output: (path: string) => tf.Tensor): void {
    const { spec, request } = this.setup;
    const { particles } = request.state;
    const { first, count } = this.range;
    const read = (path: string) => tf.tidy(() => output(path).dataSync());
    const { lossSums, firstSteps, losses, metrics } = this.result;
    const loss = read('loss');
    losses?.set(loss, s * particles + first);
    for (let i = 0; i < count; i++) {
      lossSums[(this.#ended[i] ? particles : 0) + first + i] += loss[i];
      if (!this.#ended[i]) firstSteps[first + i]++;
      // The step that ends an episode belongs to it.
      if (this.#t[i] + 1 >= spec.horizon) this.#ended[i] = 1;
    }
    for (const name of spec.metrics) {
      const { sums, last, perStep } = metrics[name];
      const values = read(`metrics.${name}`);
      perStep?.set(values, s * particles + first);
      last.set(values, first);
      for (let i = 0; i < count; i++) sums[first + i] += values[i];
    }
  }

  /** The tensor of an input or draw. */
  #source(schedule: Schedule, which: 'init' | 'step', step: number, id: number): tf.Tensor {
    const node = schedule.graph.nodes[id];
    const { op, dtype } = node;
    const { first, count } = this.range;
    const make = (values: TypedArray) => {
      const shape = schedule.uniform[id] ? [...node.shape] : [count, ...node.shape];
      return tf.tensor(values, shape, dtype as 'float32');
    };
    if (op.name === 'random') {
      const stream = which === 'init' ? STREAMS.init : STREAMS.step;
      return make(drawNode(node, { seed: this.setup.request.seed, stream, step }, this.range));
    }
    if (op.name !== 'input') throw new TypeError(`'${op.name}' is no input`);
    switch (op.role) {
      case 'data':
        return make(this.setup.data[indexOf(this.setup.spec.data, op.path)]);
      case 'state':
        return this.#state[indexOf(this.setup.spec.state, op.path)].clone();
      case 't':
        return make(this.#t.slice());
      case 'particle':
        return make(Int32Array.from({ length: count }, (_, i) => first + i));
      default:
        return make(this.#thetaLeaf(node, op.path));
    }
  }

  #thetaLeaf(node: GraphNode, path: string): Float32Array {
    const { spec, request } = this.setup;
    const leaf = indexOf(spec.theta, path);
    const size = (i: number) => sizeOf(spec.theta[i].shape);
    const offset = spec.theta.slice(0, leaf).reduce((sum, _, i) => sum + size(i), 0);
    const elements = spec.theta.reduce((sum, _, i) => sum + size(i), 0);
    this.#theta ??= thetaRows(request.theta, elements, this.range);
    const width = sizeOf(node.shape);
    const rows = request.theta.kind === 'shared' ? 1 : this.range.count;
    const out = new Float32Array(rows * width);
    for (let i = 0; i < rows; i++) {
      const start = i * elements + offset;
      out.set(this.#theta.subarray(start, start + width), i * width);
    }
    return out;
  }
}

function indexOf(leaves: readonly LeafSpec[], path: string): number {
  return leaves.findIndex((leaf) => leaf.path === path);
}
