/** Gradients through whole runs of an unroll: options, results, and how the device's flat arrays become structures. */
import type {
  CheckpointSchedule,
  LoadedReverse,
  ReverseCost,
  ReverseResult,
  UnrollSpec,
} from '../device/driver.js';
import { scheduleWithin } from '../device/sweep.js';
import { OptionError, ShapeError } from '../errors.js';
import { sizeOf } from '../graph/graph.js';
import { checkChoice, checkInteger, checkKeys } from '../options.js';
import { describe } from '../random/philox.js';
import { flatten } from '../trace/structure.js';
import type { ValuesOf } from './leaf.js';
import type { RunOptions, UnrollRun } from './program.js';
import { copyRows, type ThetaLayout } from './theta-layout.js';
import { isLeafShape, isLeafValue, readRaw, toFloat32 } from './values.js';

/** Which states of the forward sweep are kept; the others are computed again on the way back. */
export type Checkpoints =
  /** Every state: the most memory, no step twice. */
  | 'all'
  /** Every c-th state, and the states within one segment of c: about steps / c + c states, each step at most twice. */
  | { readonly every: number }
  /** At most so many states at a time, with the fewest repeated steps (Griewank & Walther 2000, Revolve). */
  | { readonly slots: number }
  /** As many as fit in so many bytes. */
  | { readonly bytes: number };

export interface GradientOptions<Theta, State> extends RunOptions<Theta, State> {
  /** Default { bytes: 2^28 }: everything where 256 MiB hold it. */
  readonly checkpoints?: Checkpoints;
  /**
   * Gradient of something else with respect to the final state, added to that of the losses: a structure like
   * an exported state's, [particles, ...shape] at float32 leaves; leaves may be left out (undefined).
   */
  readonly finalCotangents?: unknown;
  /** [particles]: weight of each particle's losses in what is differentiated. Default 1. */
  readonly lossWeights?: ArrayLike<number>;
}

export interface UnrollGradient<Theta, State, MetricName extends string = string>
  extends UnrollRun<MetricName> {
  /**
   * Mean over particles of the gradient of the sum of a particle's losses over the run (weighted, and with the
   * final cotangents), with respect to its theta: a structure like theta.
   */
  readonly gradient: ValuesOf<Theta>;
  /** The same for each particle: a structure like theta of Float32Array [particles, ...shape]. */
  readonly gradients: unknown;
  /** With respect to the state that the run began with: a structure like an exported state's, undefined at int32 and bool leaves, 0 where the
   * first step began an episode. */
  readonly stateGradients: State;
  /** Steps advanced, states kept, bytes. */
  readonly cost: ReverseCost;
}

export const DEFAULT_CHECKPOINT_BYTES = 2 ** 28;

/** The schedule of an option. Throws OptionError on a malformed one. */
export function checkpointSchedule(
  checkpoints: Checkpoints | undefined,
  reverse: LoadedReverse,
  steps: number,
  particles: number,
): CheckpointSchedule {
  if (typeof checkpoints === 'string') {
    checkChoice(checkpoints, 'checkpoints', ['all']);
    return { kind: 'every', every: 1 };
  }
  const given = checkpoints === undefined ? { bytes: DEFAULT_CHECKPOINT_BYTES } : checkpoints;
  checkKeys(given, ['every', 'slots', 'bytes'], 'checkpoints');
  const entries = Object.entries(given);
  if (entries.length !== 1)
    throw new OptionError(
      `checkpoints is 'all' or one of { every }, { slots }, { bytes }, got ${describe(given)}`,
    );
  const [[name, value]] = entries as [[string, unknown]];
  const count = checkInteger(value, `checkpoints.${name}`, 1);
  if (name === 'every') return { kind: 'every', every: count };
  if (name === 'slots') return { kind: 'binomial', slots: count };
  return scheduleWithin(steps, reverse.slotBytes(particles), count);
}

/** Final cotangents by leaf. Throws OptionError or ShapeError naming the path. */
export function readCotangents(
  spec: UnrollSpec,
  value: unknown,
  particles: number,
): (Float32Array | undefined)[] {
  const known = new Map(spec.state.map((leaf, i) => [leaf.path, i]));
  const result: (Float32Array | undefined)[] = spec.state.map(() => undefined);
  const isLeaf = (x: unknown): x is unknown => x === undefined || isLeafValue(x);
  const tree = flatten(value, isLeaf, 'finalCotangents');
  tree.leaves.forEach((leaf, at) => {
    const path = tree.paths[at] || 'value';
    const index = known.get(path);
    if (index === undefined)
      throw new OptionError(`finalCotangents has "${path}", which the state does not have`);
    if (leaf === undefined) return;
    const { values, shape: given } = readRaw(leaf as never, `finalCotangents at "${path}"`);
    const wanted = [particles, ...spec.state[index].shape];
    if (given ? `${given}` !== `${wanted}` : values.length !== sizeOf(wanted))
      throw new ShapeError(
        `finalCotangents at "${path}" must have ${sizeOf(wanted)} values ([${wanted.join(', ')}]), got ${given ? `[${given.join(', ')}]` : values.length}`,
      );
    result[index] = toFloat32(values);
  });
  return result;
}

/** Weights of the particles' losses. Throws OptionError or ShapeError. */
export function readWeights(value: unknown, particles: number): Float32Array {
  const { values, shape } = readRaw(value, 'lossWeights');
  if (shape ? `${shape}` !== `${[particles]}` : values.length !== particles)
    throw new ShapeError(
      `lossWeights must have one number for each particle (${particles}), got ${shape ? `[${shape.join(', ')}]` : values.length}`,
    );
  return toFloat32(values);
}

/** The parts of a result that structures are made of. */
export function gradientStructures<Theta>(
  layout: ThetaLayout<Theta>,
  theta: unknown,
  result: ReverseResult,
  particles: number,
): { readonly gradient: ValuesOf<Theta>; readonly gradients: unknown } {
  const { thetaGradients: flat } = result;
  const width = layout.size;
  const mean = new Float64Array(width);
  for (let start = 0; start < flat.length; start += width)
    for (let j = 0; j < width; j++) mean[j] += flat[start + j];
  for (let j = 0; j < width; j++) mean[j] /= particles;
  let offset = 0;
  const columns = layout.leaves.map(({ shape }) => {
    const size = sizeOf(shape);
    const out = new Float32Array(particles * size);
    copyRows(out, 0, size, flat, offset, width, particles, size);
    offset += size;
    return out;
  });
  return { gradient: layout.unpack(mean), gradients: flatten(theta, isLeafShape, 'theta').rebuild(columns) };
}
