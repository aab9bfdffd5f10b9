/** Broadcasts move behind elementwise ops: the op then works on the small value, and often the broadcast becomes the op's own. */
import { sizeOf } from '../graph.js';
import { broadcastShapes, sameShape } from '../infer.js';
import { type Emitter, isElementwiseOp } from './rewrite.js';
import type { Candidate } from './simplify.js';

/** The id of what `id` repeats: the source of a broadcast, also of a reshape that merely puts axes of 1 in front. */
function sourceOf(emitter: Emitter, id: number): number {
  const x = emitter.node(id);
  if (x.op.name === 'broadcastTo') return x.inputs[0];
  if (x.op.name !== 'reshape') return id;
  const source = emitter.node(x.inputs[0]);
  const lead = x.shape.length - source.shape.length;
  return lead > 0 && sameShape(x.shape.slice(lead), source.shape) ? source.id : id;
}

export function sinkBroadcasts(candidate: Candidate, emitter: Emitter): number | undefined {
  const { op, inputs, shape, dtype } = candidate;
  if (!isElementwiseOp(op) || inputs.length === 0 || sizeOf(shape) === 0) return undefined;
  const sources = inputs.map((id) => sourceOf(emitter, id));
  if (sources.every((id, i) => id === inputs[i])) return undefined;
  const small = broadcastShapes(sources.map((id) => emitter.node(id).shape));
  const id = emitter.add(op, sources, { shape: small, dtype });
  return emitter.add({ name: 'broadcastTo' }, [id], { shape });
}
