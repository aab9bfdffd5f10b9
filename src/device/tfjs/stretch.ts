/**
 * Sharing one thread and one global tfjs engine with the user. Work goes on in synchronous stretches: at the start of one the device's
 * backend is made the active one, at its end the user's comes back, and between two the event loop gets its turn.
 */
import * as tf from '@tensorflow/tfjs';
import { AbortedError } from '../../errors.js';

/** Longest stretch, in milliseconds, unless a single op takes longer. */
const STRETCH_MS = 8;

export class Stretch {
  #begun = 0;
  #theirs: string | undefined;

  constructor(
    private readonly backend: string,
    private readonly signal: AbortSignal | undefined,
    /** Called between stretches. */
    private readonly onPause: () => void,
  ) {}

  /** Begins a stretch. Backends that are loaded are switched synchronously. */
  enter(): void {
    const active = tf.getBackend();
    this.#theirs = active === this.backend ? undefined : active;
    if (this.#theirs !== undefined) void tf.setBackend(this.backend);
    this.#begun = performance.now();
  }

  /** Ends a stretch. */
  leave(): void {
    if (this.#theirs !== undefined) void tf.setBackend(this.#theirs);
    this.#theirs = undefined;
  }

  /** Whether the stretch has lasted long enough. */
  get due(): boolean {
    return performance.now() - this.#begun >= STRETCH_MS;
  }

  /** Lets the event loop turn. Rejects with AbortedError, outside a stretch, when the signal has fired. */
  async pause(): Promise<void> {
    this.leave();
    this.onPause();
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.signal?.aborted) throw new AbortedError(this.signal.reason);
    this.enter();
  }
}
