/** What the graphs of a reverse program read of the forward run. */
import type { ReverseSpec } from './driver.js';

/** The path under which role 'primal' means a state leaf after the step: no leaf's own path begins with a dot. */
export function nextPath(path: string): string {
  return `.${path}`;
}

/** Whether going back through a step needs the state after it. */
export function readsNext({ backwardStep }: ReverseSpec): boolean {
  return backwardStep.nodes.some(
    ({ op }) => op.name === 'input' && op.role === 'primal' && op.path.startsWith('.'),
  );
}
