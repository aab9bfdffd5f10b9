/** The native CPU device: programs are planned here and run by the addon on its own threads. */
import { DisposedError } from '../../errors.js';
import type { TypedArray } from '../../graph/graph.js';
import { checkLeaves } from '../checks.js';
import type {
  DeviceDriver,
  FunctionSpec,
  LoadedFunction,
  LoadedProgram,
  NoiseKernels,
  NoiseRows,
  UnrollSpec,
} from '../driver.js';
import { checkDonations } from '../function-checks.js';
import { native, nativeAsync, nativeNoise } from './calls.js';
import { CpuFunction } from './function.js';
import { type EngineHandle, loadNative, type NativeAddon } from './native.js';
import { planUnroll } from './plan.js';
import { planFunction } from './plan-function.js';
import { CpuProgram } from './program.js';

export interface CpuDeviceOptions {
  /** Worker threads; default UNROLLED_THREADS, else all hardware threads. */
  readonly threads?: number;
  /** Instruction level ('base', 'avx2', 'avx512'); default UNROLLED_ISA, else the best one this processor has. */
  readonly isa?: string;
}

/**
 * Opens the native device.
 * @returns the driver, or why there is none (no addon for this platform, built from other sources, ...)
 * @throws OptionError for threads or an instruction level that cannot be had
 */
export function openCpuDevice(options: CpuDeviceOptions = {}): { driver: DeviceDriver } | { reason: string } {
  const loaded = loadNative();
  if (!loaded.ok) return { reason: loaded.reason };
  const engine = native(() =>
    loaded.native.openEngine({ level: options.isa ?? null, threads: options.threads ?? null }),
  );
  return { driver: new CpuDriver(loaded.native, engine) };
}

class CpuDriver implements DeviceDriver {
  readonly kind = 'cpu';
  readonly description: string;
  readonly notes: readonly string[] = [];
  readonly noise: NoiseKernels;
  readonly #programs = new Set<CpuProgram>();
  readonly #functions = new Set<CpuFunction>();
  private readonly threads: number;
  #disposed = false;

  constructor(
    private readonly addon: NativeAddon,
    private readonly engine: EngineHandle,
  ) {
    const info = addon.engineInfo(engine);
    this.description = `native ${info.level}, ${info.threads} ${info.threads === 1 ? 'thread' : 'threads'}`;
    this.threads = info.threads;
    this.noise = new CpuNoise(addon, engine, () => this.#check());
  }

  load(spec: UnrollSpec, data: readonly TypedArray[]): LoadedProgram {
    this.#check();
    checkLeaves('data', spec.data, data, 1);
    const program = new CpuProgram(this.addon, this.engine, spec, planUnroll(spec), data, (p) =>
      this.#programs.delete(p),
    );
    this.#programs.add(program);
    return program;
  }

  loadFunction(spec: FunctionSpec): LoadedFunction {
    this.#check();
    checkDonations(spec);
    const planned = planFunction(spec, this.threads);
    const fn = new CpuFunction(this.addon, this.engine, spec, planned, (f) => this.#functions.delete(f));
    this.#functions.add(fn);
    return fn;
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const fn of [...this.#functions]) fn.dispose();
    for (const program of [...this.#programs]) program.dispose();
    this.addon.dispose(this.engine);
  }

  #check() {
    if (this.#disposed) throw new DisposedError('this device');
  }
}

class CpuNoise implements NoiseKernels {
  constructor(
    private readonly addon: NativeAddon,
    private readonly engine: EngineHandle,
    private readonly check: () => void,
  ) {}

  async fill(noise: NoiseRows): Promise<Float32Array> {
    this.check();
    return nativeAsync(() => this.addon.fillNormal(this.engine, noise.rows, noise.dim, nativeNoise(noise)));
  }

  async accumulate(accumulator: Float32Array, scale: Float32Array, noise: NoiseRows): Promise<void> {
    this.check();
    await nativeAsync(() => this.addon.addNormal(this.engine, accumulator, scale, nativeNoise(noise)));
  }

  async weightedRowSum(weights: Float64Array, matrix: Float32Array, dim: number): Promise<Float64Array> {
    this.check();
    return nativeAsync(() => this.addon.weightedRowSum(this.engine, weights, matrix, dim));
  }
}
