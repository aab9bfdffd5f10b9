/** What the tfjs device makes of a program: two schedules (theta shared or per particle), a backend, and how many particles go together. */
import { type GraphNode, type InputRole, sizeOf } from '../../graph/graph.js';
import { printNode } from '../../graph/print.js';
import type { ProgramPlan, ReverseSpec, UnrollSpec } from '../driver.js';
import type { Schedules } from './chunk.js';
import { type Schedule, scheduleGraph } from './executor.js';

/** Tensors of a chunk stay below this, an op's temporaries included. */
const CHUNK_BYTES = 256 * 2 ** 20;
/** On one thread of JavaScript or wasm more elements an op gain nothing, and a single op would hold up the event loop. */
const OP_ELEMENTS = 2 ** 17;

export interface TfjsPlan {
  /** For a theta that all particles share, and for one per particle. */
  readonly shared: Schedules;
  readonly perParticle: Schedules;
  readonly chunk: number;
  readonly stateBytesPerParticle: number;
  readonly bytesPerParticle: number;
}

/** Plans an unroll; with `reverse`, one that also goes back. */
export function planUnroll(spec: UnrollSpec, backend: string, reverse?: ReverseSpec): TfjsPlan {
  const schedules = (uniform: readonly InputRole[]): Schedules => ({
    init: scheduleGraph(spec.init, uniform),
    step: scheduleGraph(spec.step, uniform),
    ...(reverse && {
      backwardInit: scheduleGraph(reverse.backwardInit, uniform),
      backwardStep: scheduleGraph(reverse.backwardStep, uniform),
    }),
  });
  const perParticle = schedules(['data']);
  const planned = Object.values(perParticle) as Schedule[];
  const stateElements = spec.state.reduce((sum, leaf) => sum + sizeOf(leaf.shape), 0);
  // Twice the state (old and new), and again as much as all that for what ops need inside.
  const bytesPerParticle = 8 * (2 * stateElements + Math.max(...planned.map((one) => one.peakElements)) + 1);
  const byMemory = Math.floor(CHUNK_BYTES / bytesPerParticle);
  const byLength = Math.floor(OP_ELEMENTS / Math.max(1, ...planned.map((one) => one.widest)));
  const chunk = Math.max(1, backend === 'tensorflow' ? byMemory : Math.min(byMemory, byLength));
  return {
    shared: schedules(['data', 'theta']),
    perParticle,
    chunk,
    stateBytesPerParticle: spec.state.reduce(
      (sum, leaf) => sum + sizeOf(leaf.shape) * (leaf.dtype === 'bool' ? 1 : 4),
      0,
    ),
    bytesPerParticle,
  };
}

/** Multiply-adds, counted twice, of products, convolutions and factorisations; 0 of anything else. */
export function flopsOf(node: GraphNode, nodes: readonly GraphNode[]): number {
  const { op, shape } = node;
  const input = (i: number) => nodes[node.inputs[i]].shape;
  const n = shape.at(-2) ?? 0;
  switch (op.name) {
    case 'matMul':
      return 2 * sizeOf(shape) * (input(0).at(op.transposeA ? -2 : -1) as number);
    case 'conv':
    case 'convInputGrad':
    case 'convFilterGrad': {
      const filter = op.name === 'convFilterGrad' ? shape : input(1);
      const windows = op.name === 'conv' ? shape : input(op.name === 'convInputGrad' ? 0 : 1);
      return 2 * sizeOf(windows.slice(0, 4)) * sizeOf(filter);
    }
    case 'cholesky':
      return (sizeOf(shape) * n) / 3;
    case 'triangularSolve':
      return sizeOf(shape) * n;
    default:
      return 0;
  }
}

function listing(title: string, { graph, uniform }: Schedule, ids: readonly number[]): string[] {
  if (ids.length === 0) return [];
  return [title, ...ids.map((id) => `  ${printNode(graph.nodes[id])}${uniform[id] ? '  (uniform)' : ''}`)];
}

/** `head`: lines on the backend and what was passed over. */
export function describePlan(plan: TfjsPlan, head: readonly string[]): ProgramPlan {
  const { init, step } = plan.perParticle;
  const text = [
    ...head,
    `up to ${plan.chunk} particles together`,
    ...listing('once a call:', step, step.order.call),
    ...listing('once a chunk:', step, step.order.tile),
    ...listing('every step:', step, step.order.step),
    ...listing('init, where an episode begins:', init, [
      ...init.order.call,
      ...init.order.tile,
      ...init.order.step,
    ]),
  ].join('\n');
  return {
    device: 'tfjs',
    text,
    lanes: plan.chunk,
    arenaBytes: plan.bytesPerParticle * plan.chunk,
    stateBytesPerParticle: plan.stateBytesPerParticle,
    flopsPerStep: step.order.step.reduce(
      (sum, id) => sum + flopsOf(step.graph.nodes[id], step.graph.nodes),
      0,
    ),
  };
}
