/** The inner states of all particles: a handle on device memory. */
import type { DriverState, StateSnapshot } from '../device/driver.js';
import { DeviceError, OptionError } from '../errors.js';
import { describe } from '../random/philox.js';

/** A state copied out of the device; S is the structure of typed arrays that it is given in. */
export interface ExportedState<S = unknown> {
  /**
   * In the structure that `init` returns; every leaf is a flat typed array of [particles, ...shape] (bool:
   * Uint8Array of 0 and 1).
   */
  readonly state: S;
  /** [particles] int32: the step within the episode that comes next. */
  readonly t: Int32Array;
  /** [particles]: 1 where the next step first runs `init`. */
  readonly fresh: Uint8Array;
  /** Steps run since the state was created: the number of the next one, which its random draws depend on. */
  readonly stepsDone: number;
}

/**
 * States of `particles` particles on a device, advanced in place by `program.run`. Holds memory until
 * `dispose` (disposing twice is allowed). Made by `program.createState` or `program.importState`.
 */
export class UnrollState<S = unknown> {
  readonly driver: DriverState;
  /** @internal The program that it is a state of. */
  readonly program: object;
  readonly #rebuild: (leaves: StateSnapshot['leaves']) => S;
  #stepsDone: number;
  #held = false;

  /** @internal */
  constructor(
    driver: DriverState,
    program: object,
    rebuild: (leaves: StateSnapshot['leaves']) => S,
    stepsDone: number,
  ) {
    this.driver = driver;
    this.program = program;
    this.#rebuild = rebuild;
    this.#stepsDone = stepsDone;
  }

  get particles(): number {
    return this.driver.particles;
  }

  /** Bytes held on the device. */
  get bytes(): number {
    return this.driver.bytes;
  }

  /** Steps run since the state was created. */
  get stepsDone(): number {
    return this.#stepsDone;
  }

  /** @internal Called once the device has advanced the state. */
  advance(steps: number): void {
    this.#stepsDone += steps;
  }

  /**
   * @internal Claims the state for a step of an estimator. Throws DeviceError ERR_BUSY when it is claimed
   * already.
   */
  hold(): void {
    if (this.#held) {
      throw new DeviceError('the state is in use by a step that has not ended; await it first', {
        code: 'ERR_BUSY',
      });
    }
    this.#held = true;
  }

  /** @internal */
  release(): void {
    this.#held = false;
  }

  /** Copies the state out. Rejects with DisposedError after `dispose`. */
  async export(): Promise<ExportedState<S>> {
    const { leaves, t, fresh } = await this.driver.export();
    return { state: this.#rebuild(leaves), t, fresh, stepsDone: this.#stepsDone };
  }

  /**
   * A new state in which particle i is a copy of particle `ancestors[i]` of this one. Throws OptionError on
   * an index outside 0..particles-1.
   */
  async gather(ancestors: ArrayLike<number>): Promise<UnrollState<S>> {
    if (typeof ancestors !== 'object' || ancestors === null) {
      throw new OptionError(`gather needs an array of particle indices, got ${describe(ancestors)}`);
    }
    const indices = Int32Array.from(ancestors);
    const wrong = indices.findIndex(
      (index, i) => index !== ancestors[i] || index < 0 || index >= this.particles,
    );
    if (wrong >= 0) {
      throw new OptionError(
        `ancestors[${wrong}] must be an integer in 0..${this.particles - 1}, got ${ancestors[wrong]}`,
      );
    }
    const driver = await this.driver.gather(indices);
    return new UnrollState(driver, this.program, this.#rebuild, this.#stepsDone);
  }

  dispose(): void {
    this.driver.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
