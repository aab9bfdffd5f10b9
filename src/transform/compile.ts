/** From a definition to what a device takes: traced graphs and the leaves of theta, state and data. */
import * as tf from '@tensorflow/tfjs';
import type { LeafSpec, ReverseSpec, UnrollSpec } from '../device/driver.js';
import { OptionError, ShapeError } from '../errors.js';
import { type Graph, type Shape, sizeOf, type TypedArray } from '../graph/graph.js';
import { optimize } from '../graph/passes/index.js';
import { checkKeys } from '../options.js';
import { describe } from '../random/philox.js';
import type { Rng } from '../trace/rng.js';
import { type FlatTree, flatten } from '../trace/structure.js';
import { isTraceLeaf, type Traced, type TraceInput, type TraceLeaf, trace } from '../trace/trace.js';
import { traceBackward } from './backward.js';
import { checkDefinition, type UnrollDefinition } from './define.js';
import { LeafShape, type SpecTree } from './leaf.js';
import { ThetaLayout } from './theta-layout.js';
import { isLeafShape, isLeafValue, matchValues, readLeaf, readRaw, toTyped } from './values.js';

/** A traced definition. */
export interface CompiledUnroll<Theta> {
  readonly spec: UnrollSpec;
  readonly theta: ThetaLayout<Theta>;
  /** The structure of shapes that the definition gives theta. */
  readonly thetaSpec: SpecTree;
  /** The data that it was compiled with, in the order of `spec.data`. */
  readonly data: readonly TypedArray[];
  /** Data of the same structure as flat arrays. Throws OptionError or ShapeError naming the path. */
  readData(data: unknown): TypedArray[];
  /** A state's leaves in the structure that `init` returns. */
  rebuildState(leaves: readonly TypedArray[]): unknown;
  /** The inverse. Throws OptionError or ShapeError naming the path. */
  flattenState(state: unknown, particles: number): TypedArray[];
  /** Traces what goes back through a step. Throws like `compileUnroll`, and TraceError where something has no gradient. */
  reverse(): ReverseSpec;
}

/** How a leaf that is the whole structure is called in a graph. */
const ROOT = 'value';

/** The data of a program: its leaves, their values, and how tensors for them go back into the structure. */
interface DataLayout {
  readonly leaves: readonly LeafSpec[];
  readonly values: readonly TypedArray[];
  rebuild(tensors: readonly tf.Tensor[]): unknown;
  read(data: unknown): TypedArray[];
}

function describedData(spec: SpecTree, data: unknown): DataLayout {
  const tree = flatten(spec, isLeafShape, 'data');
  const given = matchValues(spec, data, 'data');
  const leaves = tree.leaves.map(({ dims, dtype }, i): LeafSpec => {
    const path = tree.paths[i] || ROOT;
    if (!dims.includes(null)) return { path, shape: dims as Shape, dtype };
    const raw = readRaw(given[i].value, `data at "${path}"`);
    return { path, shape: openShape(dims, raw.shape, raw.values.length, path), dtype };
  });
  const read = (value: unknown) =>
    matchValues(spec, value, 'data').map((entry, i) => readLeaf(entry.value, leaves[i], 'data'));
  return { leaves, values: read(data), read, rebuild: (tensors) => tree.rebuild(tensors) };
}

/** Dimensions with the open ones filled in from what was given. Throws ShapeError when they cannot be. */
function openShape(
  dims: readonly (number | null)[],
  shape: Shape | undefined,
  count: number,
  path: string,
): Shape {
  const wanted = `[${dims.map((dim) => dim ?? 'any').join(', ')}]`;
  if (shape) {
    const fits = shape.length === dims.length && dims.every((dim, i) => dim === null || dim === shape[i]);
    if (!fits) throw new ShapeError(`data at "${path}" must have shape ${wanted}, got [${shape.join(', ')}]`);
    return shape;
  }
  const known = dims.reduce<number>((product, dim) => product * (dim ?? 1), 1);
  const open = count / known;
  if (dims.filter((dim) => dim === null).length !== 1 || !Number.isInteger(open)) {
    throw new ShapeError(
      `data at "${path}" must have shape ${wanted}, which ${count} values without a shape do not settle; give a tensor or a nested array`,
    );
  }
  return dims.map((dim) => dim ?? open);
}

function undescribedData(data: unknown): DataLayout {
  if (data === undefined) {
    const none = (value: unknown) => {
      if (value !== undefined) throw new OptionError('the program was compiled without data');
      return [];
    };
    return { leaves: [], values: [], rebuild: () => ({}), read: none };
  }
  const tree = flatten(data, isLeafValue, 'data');
  const leaves = tree.leaves.map((value, i): LeafSpec => {
    const path = tree.paths[i] || ROOT;
    const raw = readRaw(value, `data at "${path}"`);
    return { path, shape: raw.shape ?? [raw.values.length], dtype: raw.dtype };
  });
  const read = (value: unknown) => {
    const other = flatten(value, isLeafValue, 'data');
    const odd = tree.paths.find((path, i) => other.paths[i] !== path) ?? other.paths[tree.paths.length];
    if (odd !== undefined)
      throw new OptionError(
        `data must keep the structure that the program was compiled with; it differs at "${odd}"`,
      );
    return other.leaves.map((leaf, i) => {
      const raw = readRaw(leaf, `data at "${leaves[i].path}"`);
      if (raw.dtype !== leaves[i].dtype) {
        throw new ShapeError(`data at "${leaves[i].path}" must be ${leaves[i].dtype}, got ${raw.dtype}`);
      }
      return readLeaf(leaf, leaves[i], 'data');
    });
  };
  const values = tree.leaves.map((leaf, i) => {
    const at = `data at "${leaves[i].path}"`;
    return toTyped(readRaw(leaf, at).values, leaves[i].dtype, at);
  });
  return { leaves, values, read, rebuild: (tensors) => tree.rebuild(tensors) };
}

/** A state leaf named in a message. */
function formatLeaf({ shape, dtype }: { readonly shape: Shape; readonly dtype: string }): string {
  return `${dtype} [${shape.join(', ')}]`;
}

/** The node of an output, as a leaf specification. */
function leafOf(traced: Traced, index: number): LeafSpec {
  const { shape, dtype } = traced.graph.nodes[traced.structure.leaves[index]];
  return { path: traced.structure.paths[index] || ROOT, shape, dtype };
}

/** A number or boolean in a state, as the trace takes it. */
export function stateTensor(leaf: TraceLeaf): tf.Tensor {
  return leaf instanceof tf.Tensor ? leaf : tf.scalar(leaf, typeof leaf === 'boolean' ? 'bool' : 'float32');
}

/** What `step` returned, checked key by key while tracing, so that messages name what the user wrote. */
export function checkStepResult(result: unknown): {
  state: unknown;
  loss: tf.Tensor;
  metrics: Record<string, tf.Tensor>;
} {
  if (typeof result !== 'object' || result === null) {
    throw new OptionError(`step must return { state, loss, metrics? }, got ${describe(result)}`);
  }
  checkKeys(result, ['state', 'loss', 'metrics'], 'the result of step');
  const { state, loss, metrics = {} } = result as Record<string, unknown>;
  if (state === undefined) throw new OptionError('step must return the next state: { state, loss }');
  if (typeof metrics !== 'object' || metrics === null || Array.isArray(metrics)) {
    throw new OptionError(
      `the metrics of step must be an object of scalars by name, got ${describe(metrics)}`,
    );
  }
  const scalars = Object.entries({ loss, ...(metrics as object) }).map(([name, value], i) => {
    const what = i === 0 ? 'loss' : `metric "${name}"`;
    if (typeof value === 'number') return [name, tf.scalar(value)] as const;
    if (!(value instanceof tf.Tensor))
      throw new OptionError(`the ${what} of step must be a scalar tensor, got ${describe(value)}`);
    if (value.rank !== 0) {
      throw new ShapeError(
        `the ${what} of step must be a scalar, got ${formatLeaf(value)}; reduce it with tf.mean or tf.sum`,
      );
    }
    return [name, value.dtype === 'float32' ? value : tf.cast(value, 'float32')] as const;
  });
  const [[, checkedLoss], ...checkedMetrics] = scalars;
  return { state, loss: checkedLoss, metrics: Object.fromEntries(checkedMetrics) };
}

/**
 * Throws ShapeError naming the first leaf of the state that a step changes in shape or dtype, adds or leaves
 * out.
 */
export function checkStateKept(wanted: readonly LeafSpec[], got: readonly LeafSpec[]): void {
  for (const leaf of wanted) {
    const found = got.find(({ path }) => path === leaf.path);
    if (!found)
      throw new ShapeError(
        `step must return the whole state; "${leaf.path}" (${formatLeaf(leaf)}) is missing`,
      );
    if (formatLeaf(found) !== formatLeaf(leaf)) {
      const promoted = leaf.dtype === 'int32' && found.dtype === 'float32';
      const hint = promoted ? " (tfjs takes numbers as float32: add tf.scalar(1, 'int32') instead of 1)" : '';
      throw new ShapeError(
        `the state at "${leaf.path}" must keep its shape and dtype over a step: wanted ${formatLeaf(leaf)}, got ${formatLeaf(found)}${hint}`,
      );
    }
  }
  const extra = got.find(({ path }) => !wanted.some((leaf) => leaf.path === path));
  if (extra) throw new ShapeError(`step returned the state "${extra.path}", which init does not have`);
}

/** A graph whose outputs are renamed by their position. */
function renamed(graph: Graph, paths: readonly string[]): Graph {
  return { nodes: graph.nodes, outputs: graph.outputs.map(({ node }, i) => ({ path: paths[i], node })) };
}

function inputsOf(role: TraceInput['role'], leaves: readonly LeafSpec[]): TraceInput[] {
  return leaves.map(({ path, shape, dtype }) => ({ role, path, shape, dtype }));
}

/**
 * Traces a definition. `data` is any structure of numbers, arrays and tensors (required where the definition
 * uses it).
 * Throws TraceError, UnsupportedOpError on what cannot be traced; OptionError, ShapeError on what does not
 * fit.
 */
export function compileUnroll<Theta, State, D, Metrics>(
  definition: UnrollDefinition<Theta, State, D, Metrics>,
  data: unknown,
): CompiledUnroll<Theta> {
  // A definition may come from JavaScript, without defineUnroll.
  checkDefinition(definition);
  const theta = new ThetaLayout(definition.theta);
  const thetaSpec = definition.theta as SpecTree;
  const thetaTree = flatten(thetaSpec, isLeafShape, 'theta');
  if (definition.data !== undefined && data === undefined)
    throw new OptionError('compile needs { data }: the definition describes data');
  const dataLayout =
    definition.data === undefined ? undescribedData(data) : describedData(definition.data as SpecTree, data);

  const shared = [...inputsOf('theta', theta.leaves), ...inputsOf('data', dataLayout.leaves)];
  const particleInput: TraceInput = { role: 'particle', path: 'particle', shape: [], dtype: 'int32' };
  const stepInput: TraceInput = { role: 't', path: 't', shape: [], dtype: 'int32' };
  /** The context that all callbacks get, and the tensors that follow those of theta and data. */
  const context = (tensors: readonly tf.Tensor[], rng: Rng) => {
    const thetas = tensors.slice(0, theta.leaves.length);
    const datas = tensors.slice(thetas.length, shared.length);
    const [particle, ...rest] = tensors.slice(shared.length);
    return {
      base: { theta: thetaTree.rebuild(thetas), rng, data: dataLayout.rebuild(datas), particle },
      rest,
    };
  };

  // biome-ignore lint/suspicious/noExplicitAny: the callbacks' own types were checked where the definition was written.
  const { init, step } = definition as UnrollDefinition<any, any, any, any>;
  const traceInputs = [...shared, particleInput];
  const tracedInit = trace((tensors, rng) => init(context(tensors, rng).base as never), {
    inputs: traceInputs,
    name: 'init',
  });
  const stateTree: FlatTree<number> = tracedInit.structure;
  const state = stateTree.leaves.map((_, i) => leafOf(tracedInit, i));
  const stateSpec = stateTree.rebuild(state.map(({ shape, dtype }) => new LeafShape(shape, dtype)));
  let metrics: string[] = [];
  const tracedStep = trace(
    (tensors, rng) => {
      const { base, rest } = context(tensors, rng);
      const [t, ...leaves] = rest;
      const returned: unknown = step({ ...base, t, state: stateTree.rebuild(leaves) } as never);
      // `trace` refuses a promise, in its own words.
      if (returned instanceof Promise) return returned;
      const result = checkStepResult(returned);
      metrics = Object.keys(result.metrics);
      return [result.loss, metrics.map((name) => result.metrics[name]), result.state];
    },
    { inputs: [...traceInputs, stepInput, ...inputsOf('state', state)], name: 'step' },
  );
  const scalars = 1 + metrics.length;
  // The state is item 2 of the traced list: its paths are '2.w', or '2' where it is a single tensor.
  const returned = tracedStep.structure.leaves
    .map((_, i) => leafOf(tracedStep, i))
    .slice(scalars)
    .map((leaf) => ({ ...leaf, path: leaf.path.slice(2) || ROOT }));
  checkStateKept(state, returned);
  const statePaths = (leaves: readonly LeafSpec[]) => leaves.map(({ path }) => `state.${path}`);
  const stepPaths = ['loss', ...metrics.map((name) => `metrics.${name}`), ...statePaths(returned)];
  const spec: UnrollSpec = {
    init: optimize(renamed(tracedInit.graph, statePaths(state))),
    step: optimize(renamed(tracedStep.graph, stepPaths)),
    theta: theta.leaves,
    state,
    data: dataLayout.leaves,
    metrics,
    horizon: definition.horizon,
  };
  return {
    spec,
    theta,
    thetaSpec,
    data: dataLayout.values,
    readData: dataLayout.read,
    rebuildState: (leaves) => stateTree.rebuild(leaves),
    reverse: () =>
      traceBackward(spec, shared, {
        init: (tensors, rng) => {
          const made = init(context(tensors, rng).base as never);
          return flatten(made, isTraceLeaf, 'state').leaves.map(stateTensor);
        },
        step: (tensors, rng) => {
          const { base, rest } = context(tensors, rng);
          const [t, ...leaves] = rest;
          const result = checkStepResult(step({ ...base, t, state: stateTree.rebuild(leaves) } as never));
          const next = flatten(result.state, isTraceLeaf, 'state');
          const order = state.map(({ path }) => next.paths.findIndex((other) => (other || ROOT) === path));
          return { loss: result.loss, state: order.map((i) => stateTensor(next.leaves[i])) };
        },
      }),
    flattenState: (tree, particles) => {
      return matchValues(stateSpec, tree, 'state').map(({ value }, i) => {
        const { values } = readRaw(value, `state at "${state[i].path}"`);
        const wanted = particles * sizeOf(state[i].shape);
        if (values.length !== wanted) {
          throw new ShapeError(
            `the state at "${state[i].path}" must have ${wanted} values ([${[particles, ...state[i].shape].join(', ')}]), got ${values.length}`,
          );
        }
        return toTyped(values, state[i].dtype, `state at "${state[i].path}"`);
      });
    },
  };
}
