/** The tfjs device: programs run as ordinary tfjs ops, vectorised over the particles. Slower than native code, and everywhere there. */
import * as tf from '@tensorflow/tfjs';
import { DisposedError, UnsupportedOpError } from '../../errors.js';
import type { Graph, TypedArray } from '../../graph/graph.js';
import { checkLeaves } from '../checks.js';
import type {
  DeviceDriver,
  FunctionSpec,
  LoadedFunction,
  LoadedProgram,
  NoiseKernels,
  UnrollSpec,
} from '../driver.js';
import { checkDonations } from '../function-checks.js';
import { type ChosenBackend, chooseBackend, startCpuBackend, type TfjsBackendName } from './backend.js';
import { TfjsFunction } from './function.js';
import { missingKernels } from './kernels.js';
import { hostNoise } from './noise.js';
import { TfjsProgram } from './program.js';

export interface TfjsDeviceOptions {
  /** Forces a backend: 'cpu' (part of tfjs), 'wasm' or 'tensorflow'. Default: the fastest one that loads. */
  readonly tfjsBackend?: TfjsBackendName;
}

/**
 * Opens the tfjs device. Rejects with OptionError for an unknown backend, DeviceError for a forced one that does not load. Takes about a
 * second for each optional backend that is installed: it is first loaded in a child process.
 */
export async function openTfjsDevice(options: TfjsDeviceOptions = {}): Promise<DeviceDriver> {
  const chosen = await chooseBackend(options.tfjsBackend);
  // Programs that the chosen backend cannot run fall back on this one.
  await startCpuBackend();
  return new TfjsDriver(chosen);
}

export class TfjsDriver implements DeviceDriver {
  readonly kind = 'tfjs';
  readonly description: string;
  readonly notes: string[];
  readonly noise: NoiseKernels;
  readonly #running = new Set<Promise<unknown>>();
  #disposed = false;

  constructor(private readonly backend: ChosenBackend) {
    this.description = `tfjs ${tf.version_core}, backend ${backend.name} (${backend.package})`;
    this.notes = [...backend.notes];
    this.noise = hostNoise(() => this.check());
  }

  load(spec: UnrollSpec, data: readonly TypedArray[]): LoadedProgram {
    this.check();
    checkLeaves('data', spec.data, data, 1);
    const { backend, note } = this.#backendFor([spec.init, spec.step], 'program');
    return new TfjsProgram(this, spec, data, backend, note);
  }

  loadFunction(spec: FunctionSpec): LoadedFunction {
    this.check();
    checkDonations(spec);
    const { backend, note } = this.#backendFor([spec.graph], 'function');
    const head = `interpreted by tfjs ${tf.version_core}, backend ${backend}`;
    return new TfjsFunction(this, spec, backend, note ? [head, note] : [head]);
  }

  /** The device's backend, or the cpu backend where that one lacks kernels. */
  #backendFor(graphs: readonly Graph[], what: string): { backend: string; note: string | undefined } {
    const missing = missingKernels(graphs, this.backend.name);
    if (missing.length === 0) return { backend: this.backend.name, note: undefined };
    const note = `backend ${this.backend.name} lacks ${missing.join(', ')}; a ${what} that needs this runs on backend cpu`;
    if (!this.notes.includes(note)) this.notes.push(note);
    return { backend: 'cpu', note };
  }

  /** @throws UnsupportedOpError when the backend that a program runs on lacks kernels that going back through it needs */
  requireKernels(graphs: readonly Graph[], backend: string): void {
    const missing = missingKernels(graphs, backend);
    if (missing.length > 0)
      throw new UnsupportedOpError(
        missing[0],
        `going back through this program needs ${missing.join(', ')}, which the tfjs backend ${backend} lacks; open the device with { tfjsBackend: 'cpu' }`,
      );
  }

  /** Lets `dispose` wait for a run. */
  async track<T>(run: Promise<T>): Promise<T> {
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
    }
  }

  check(): void {
    if (this.#disposed) throw new DisposedError('this device');
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await Promise.allSettled(this.#running);
  }
}
