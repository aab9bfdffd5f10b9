/** A device that programs are compiled for. */
import type { DeviceDriver, DeviceKind } from '../device/driver.js';
import { DisposedError } from '../errors.js';
import { checkKeys } from '../options.js';
import { compileUnroll } from './compile.js';
import type { UnrollDefinition } from './define.js';
import type { ArraysOf, InputsOf } from './leaf.js';
import { UnrollProgram } from './program.js';

export interface CompileOptions<D> {
  /**
   * The data that `init` and `step` are given: numbers, typed arrays, nested arrays, tensors. Replaceable
   * later with `setData`.
   */
  readonly data?: D extends undefined ? unknown : InputsOf<D>;
}

/**
 * A place where programs run: the native CPU engine, or tfjs. Made by `openDevice`; dispose of it when done.
 */
export class Device {
  readonly driver: DeviceDriver;
  #disposed = false;

  /** @internal */
  constructor(driver: DeviceDriver) {
    this.driver = driver;
  }

  get kind(): DeviceKind {
    return this.driver.kind;
  }

  /** One line: what it runs on. */
  get description(): string {
    return this.driver.description;
  }

  /** Why something better was not chosen; empty when nothing was missed. */
  get notes(): readonly string[] {
    return this.driver.notes;
  }

  /**
   * Traces a definition and loads it. Throws TraceError or UnsupportedOpError on what cannot be traced,
   * OptionError or ShapeError on data or states that do not fit, each naming the path.
   */
  compile<Theta, State, D, Metrics>(
    definition: UnrollDefinition<Theta, State, D, Metrics>,
    options: CompileOptions<D> = {},
  ): UnrollProgram<Theta, ArraysOf<State>, Metrics> {
    if (this.#disposed) throw new DisposedError('the device');
    checkKeys(options, ['data'], 'compile');
    const compiled = compileUnroll(definition, options.data);
    return new UnrollProgram(this.driver.load(compiled.spec, compiled.data), this.driver.noise, compiled);
  }

  /** Releases the device once its running work has ended. Disposing twice is allowed. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.driver.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  [Symbol.dispose](): void {
    void this.dispose();
  }
}
