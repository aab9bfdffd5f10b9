/** Particles that go through the steps of a run together, as tensors with a leading particle axis. */
import * as tf from '@tensorflow/tfjs';
import { type GraphNode, sizeOf, type TypedArray } from '../../graph/graph.js';
import { STREAMS } from '../../random/index.js';
import { select } from '../../replay/elementwise.js';
import { broadcast } from '../../replay/operand.js';
import type { LeafSpec, RunRequest, RunResult, StateSnapshot, UnrollSpec } from '../driver.js';
import { nextPath } from '../reverse-graph.js';
import { drawNode, type ParticleRange, thetaRows } from './draws.js';
import { Arena, runLevel, type Schedule } from './executor.js';
import type { Stretch } from './stretch.js';

/** The graphs of a program, scheduled for the kind of theta at hand; the backward ones where a run goes back. */
export interface Schedules {
  readonly init: Schedule;
  readonly step: Schedule;
  readonly backwardInit?: Schedule;
  readonly backwardStep?: Schedule;
}
type GraphName = keyof Schedules;

/** Values that graphs keep from call to call, or from chunk to chunk of a call. */
export class Levels {
  readonly #arenas = new Map<GraphName, Arena>();

  /** The arena of a graph, and whether it was there already. */
  of(which: GraphName): { readonly arena: Arena; readonly filled: boolean } {
    const known = this.#arenas.get(which);
    if (known) return { arena: known, filled: true };
    const arena = new Arena();
    this.#arenas.set(which, arena);
    return { arena, filled: false };
  }

  dispose(): void {
    for (const arena of this.#arenas.values()) arena.dispose();
  }
}

/** A moment of a chunk to which it can return. Holds tensors until `dispose`. */
export interface Moment {
  readonly state: readonly tf.Tensor[];
  readonly t: Int32Array;
  readonly fresh: Uint8Array;
  readonly step: number;
  dispose(): void;
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

/** Particles first .. first + count - 1 on their way through the steps of a run. */
export class Chunk {
  readonly #tile = new Levels();
  /** State leaves, [count, ...shape]. */
  #state: tf.Tensor[] = [];
  /** Thetas of the chunk, made when first needed. */
  #theta: Float32Array | undefined;
  /** The state after the step that comes next on the way back. */
  #next: readonly tf.Tensor[] = [];
  /** Steps of the run that lie behind. */
  #at = 0;
  readonly #t: Int32Array;
  readonly #fresh: Uint8Array;
  readonly #ended: Uint8Array;

  constructor(
    private readonly setup: RunSetup,
    private readonly result: RunResult,
    private readonly call: Levels,
    readonly range: ParticleRange,
    /** State of the backward graphs by path, where the run goes back. */
    private readonly cotangents: Map<string, tf.Tensor> = new Map(),
  ) {
    const { first, count } = range;
    this.#t = setup.arrays.t.slice(first, first + count);
    this.#fresh = setup.arrays.fresh.slice(first, first + count);
    this.#ended = new Uint8Array(count);
  }

  async run(): Promise<void> {
    this.load();
    await this.advance(this.setup.request.steps, true);
    this.store();
  }

  /** Takes the particles' states from the arrays of the run. */
  load(): void {
    const { spec, arrays } = this.setup;
    const { first, count } = this.range;
    this.#state = spec.state.map((leaf, i) => {
      const width = sizeOf(leaf.shape);
      const rows = arrays.leaves[i].slice(first * width, (first + count) * width);
      return tf.keep(tf.tensor(rows, [count, ...leaf.shape], leaf.dtype as 'float32'));
    });
  }

  /** Puts the particles' states back into the arrays of the run. */
  store(): void {
    const { spec, arrays } = this.setup;
    const { first } = this.range;
    this.#state.forEach((tensor, i) => {
      arrays.leaves[i].set(tensor.dataSync(), first * sizeOf(spec.state[i].shape));
    });
    arrays.t.set(this.#t, first);
    arrays.fresh.set(this.#fresh, first);
  }

  /** Goes on by `steps` steps; with `records`, their losses and metrics are collected. */
  async advance(steps: number, records: boolean): Promise<void> {
    for (const end = this.#at + steps; this.#at < end; this.#at++) {
      await this.#begin();
      await this.#step(this.#at, records);
      this.setup.onSteps(this.range.count);
    }
  }

  /** The step that comes next, within the run. */
  get at(): number {
    return this.#at;
  }

  /** This moment, to return to. */
  save(): Moment {
    const state = this.#state.map((tensor) => tf.keep(tensor.clone()));
    return {
      state,
      t: this.#t.slice(),
      fresh: this.#fresh.slice(),
      step: this.#at,
      dispose: () => {
        for (const tensor of state) tensor.dispose();
      },
    };
  }

  restore(moment: Moment): void {
    this.#replaceState(moment.state.map((tensor) => tensor.clone()));
    this.#t.set(moment.t);
    this.#fresh.set(moment.fresh);
    this.#at = moment.step;
  }

  /** Makes the present state the one after the step that is gone back through next. */
  holdNext(): void {
    for (const tensor of this.#next) tensor.dispose();
    this.#next = this.#state.map((tensor) => tf.keep(tensor.clone()));
  }

  /** Back through the step that comes next: cotangents and gradients take its share. */
  async back(): Promise<void> {
    const { firstStep } = this.setup.request;
    const { count } = this.range;
    const begins = this.#fresh.slice();
    // What lies before this step lies after the one gone back through next, before any episode begins here.
    const before = this.#state.map((tensor) => tf.keep(tensor.clone()));
    await this.#begin();
    const replace = (output: (path: string) => tf.Tensor, mask: Uint8Array | undefined) => {
      const next = tf.tidy(() =>
        [...this.cotangents].map(([path, old]) => {
          const value = output(`state.${path}`);
          if (!mask) return value;
          const chosen = tf.tensor1d(mask, 'bool');
          return select(tf.reshape(chosen, [count, ...old.shape.slice(1).map(() => 1)]), value, old);
        }),
      );
      [...this.cotangents].forEach(([path, old], i) => {
        this.cotangents.set(path, tf.keep(next[i]));
        old.dispose();
      });
    };
    await this.#evaluate('backwardStep', firstStep + this.#at, (output) => replace(output, undefined));
    for (const tensor of this.#next) tensor.dispose();
    this.#next = before;
    if (begins.includes(1))
      await this.#evaluate('backwardInit', firstStep + this.#at, (output) =>
        replace(output, begins.includes(0) ? begins : undefined),
      );
  }

  dispose(): void {
    this.#tile.dispose();
    for (const tensor of [...this.#state, ...this.#next]) tensor.dispose();
    this.#state = [];
    this.#next = [];
  }

  /** Runs the levels of a graph whose values are not there yet, then its step level, and hands the outputs to `use`. */
  async #evaluate(which: GraphName, step: number, use: (output: (path: string) => tf.Tensor) => void) {
    const { schedules, backend, stretch } = this.setup;
    const schedule = schedules[which];
    if (!schedule) throw new TypeError(`the run has no graph ${which}`);
    const source = (id: number) => this.#source(schedule, which, step, id);
    const base = { particles: this.range.count, backend };
    const { arena: call, filled: called } = this.call.of(which);
    const { arena: tile, filled: tiled } = this.#tile.of(which);
    if (!called) await runLevel(schedule, 'call', call, [], source, base, stretch);
    if (!tiled) await runLevel(schedule, 'tile', tile, [call], source, base, stretch);
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
  async #begin(): Promise<void> {
    if (!this.#fresh.includes(1)) return;
    const step = this.setup.request.firstStep + this.#at;
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

  async #step(s: number, records: boolean): Promise<void> {
    const { spec, request } = this.setup;
    await this.#evaluate('step', request.firstStep + s, (output) => {
      if (records) this.#collect(s, output);
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
  #source(schedule: Schedule, which: GraphName, step: number, id: number): tf.Tensor {
    const node = schedule.graph.nodes[id];
    const { op, dtype } = node;
    const { first, count } = this.range;
    const make = (values: TypedArray) => {
      const shape = schedule.uniform[id] ? [...node.shape] : [count, ...node.shape];
      return tf.tensor(values, shape, dtype as 'float32');
    };
    if (op.name === 'random') {
      const stream = which === 'init' || which === 'backwardInit' ? STREAMS.init : STREAMS.step;
      return make(drawNode(node, { seed: this.setup.request.seed, stream, step }, this.range));
    }
    if (op.name !== 'input') throw new TypeError(`'${op.name}' is no input`);
    switch (op.role) {
      case 'data':
        return make(this.setup.data[indexOf(this.setup.spec.data, op.path)]);
      case 'state':
        if (which === 'backwardStep' || which === 'backwardInit')
          return (this.cotangents.get(op.path) as tf.Tensor).clone();
        return this.#state[indexOf(this.setup.spec.state, op.path)].clone();
      case 'primal': {
        const after = this.setup.spec.state.findIndex(({ path }) => nextPath(path) === op.path);
        if (after >= 0) return this.#next[after].clone();
        return this.#state[indexOf(this.setup.spec.state, op.path)].clone();
      }
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
