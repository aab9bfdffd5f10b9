/** Inner states of the tfjs device: typed arrays on the host, so that nothing of tfjs lives between runs. */
import { DeviceError, DisposedError } from '../../errors.js';
import { type DType, sizeOf, type TypedArray } from '../../graph/graph.js';
import { checkAncestors } from '../checks.js';
import type { DriverState, StateSnapshot } from '../driver.js';

/** How a state stands: at rest, in a run, or left half advanced by a run that ended early. */
type Condition = 'whole' | 'running' | 'broken' | 'disposed';

export class TfjsState implements DriverState {
  readonly particles: number;
  readonly bytes: number;
  #condition: Condition = 'whole';
  #arrays: StateSnapshot | undefined;

  /** Takes over the arrays. `owner` is the program that may run it. */
  constructor(
    readonly owner: object,
    arrays: StateSnapshot,
  ) {
    this.#arrays = arrays;
    this.particles = arrays.t.length;
    this.bytes = [...arrays.leaves, arrays.t, arrays.fresh].reduce((sum, a) => sum + a.byteLength, 0);
  }

  /** The arrays, for reading. Throws DisposedError; DeviceError while a run changes them, or after one that ended early. */
  read(): StateSnapshot {
    if (this.#arrays === undefined) throw new DisposedError('this state');
    if (this.#condition === 'running') {
      throw new DeviceError('the state is in a run; wait for it', { code: 'ERR_BUSY' });
    }
    if (this.#condition === 'broken') {
      throw new DeviceError(
        'the state was left partly advanced by a run that ended early; import a snapshot or create a new one',
      );
    }
    return this.#arrays;
  }

  /** The arrays, to be advanced in place until `end`. */
  begin(): StateSnapshot {
    const arrays = this.read();
    this.#condition = 'running';
    return arrays;
  }

  /** `whole`: whether every particle was advanced to the run's end. */
  end(whole: boolean): void {
    if (this.#condition === 'running') this.#condition = whole ? 'whole' : 'broken';
  }

  async export(): Promise<StateSnapshot> {
    const { leaves, t, fresh } = this.read();
    return { leaves: leaves.map((leaf) => leaf.slice()), t: t.slice(), fresh: fresh.slice() };
  }

  async gather(ancestors: Int32Array): Promise<DriverState> {
    const { leaves, t, fresh } = this.read();
    checkAncestors(ancestors, this.particles);
    return new TfjsState(this.owner, {
      leaves: leaves.map((leaf) => gatherRows(leaf, leaf.length / this.particles, ancestors)),
      t: gatherRows(t, 1, ancestors),
      fresh: gatherRows(fresh, 1, ancestors),
    });
  }

  dispose(): void {
    this.#condition = 'disposed';
    this.#arrays = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function gatherRows<T extends TypedArray>(values: T, width: number, rows: Int32Array): T {
  const out = new (values.constructor as new (n: number) => T)(rows.length * width);
  rows.forEach((row, i) => {
    out.set(values.subarray(row * width, (row + 1) * width), i * width);
  });
  return out;
}

const ELEMENT: Readonly<Record<DType, new (n: number) => TypedArray>> = {
  float32: Float32Array,
  int32: Int32Array,
  bool: Uint8Array,
};

/** A zeroed leaf of `particles` rows. */
export function emptyLeaf(dtype: DType, shape: readonly number[], particles: number): TypedArray {
  return new ELEMENT[dtype](particles * sizeOf(shape));
}
