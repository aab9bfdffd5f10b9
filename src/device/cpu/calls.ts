/** Calls of the addon: its errors as the library's own, seeds as key words, and runs with their signal and progress. */
import { AbortedError, DeviceError, OptionError } from '../../errors.js';
import { seedHigh, toSeed } from '../../random/index.js';
import type { RunRequest, ThetaInput } from '../driver.js';
import type { NativeAddon, NativeNoise, NativeRunRequest, NativeTheta, RunHandle } from './native.js';

const PROGRESS_MS = 100;

/** The addon's errors as the library's own classes. */
export function translated(error: unknown): unknown {
  const { code, message } = error as { code?: string; message?: string };
  if (code === 'ERR_OPTION') return new OptionError(String(message), { cause: error });
  if (code === 'ERR_BUSY' || code === 'ERR_DEVICE')
    return new DeviceError(String(message), { code, cause: error });
  return error;
}

/** Calls the addon. Throws the library's errors. */
export function native<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw translated(error);
  }
}

/** The same for what returns a promise. */
export async function nativeAsync<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw translated(error);
  }
}

/** The Philox key words of a seed. */
export function key(seed: number): { key0: number; key1: number } {
  const checked = toSeed(seed);
  return { key0: checked >>> 0, key1: seedHigh(checked) };
}

export function nativeNoise(noise: {
  readonly seed: number;
  readonly noiseStep: number | Uint32Array;
}): NativeNoise {
  return { ...key(noise.seed), step: noise.noiseStep };
}

export function nativeTheta(theta: ThetaInput): NativeTheta {
  if (theta.kind !== 'perturbed') return theta;
  return { kind: 'perturbed', mean: theta.mean, sigma: theta.sigma, noise: nativeNoise(theta) };
}

/** A run as the addon takes it. */
export function nativeRequest(request: RunRequest): NativeRunRequest {
  return {
    steps: request.steps,
    firstStep: request.firstStep,
    ...key(request.seed),
    antithetic: request.antithetic,
    perStep: request.record === 'perStep',
    theta: nativeTheta(request.theta),
  };
}

/**
 * Waits for a run. Rejects with AbortedError when the signal fires, with what `onProgress` throws (out of a timer it would end the process), and
 * with the library's errors.
 */
export async function awaitRun<T>(
  addon: NativeAddon,
  { handle, promise }: { readonly handle: RunHandle; readonly promise: Promise<T> },
  total: number,
  { signal, onProgress }: Pick<RunRequest, 'signal' | 'onProgress'>,
): Promise<T> {
  const begun = performance.now();
  const cancel = () => addon.cancel(handle);
  signal?.addEventListener('abort', cancel, { once: true });
  let thrown: { readonly error: unknown } | undefined;
  const report = () => {
    try {
      const done = addon.progress(handle);
      const rate = done / ((performance.now() - begun) / 1000);
      onProgress?.({
        done,
        total,
        rate,
        etaSeconds: rate > 0 ? (total - done) / rate : Number.POSITIVE_INFINITY,
      });
    } catch (error) {
      thrown ??= { error };
      clearInterval(timer);
      cancel();
    }
  };
  const timer = onProgress && setInterval(report, PROGRESS_MS);
  try {
    return await promise;
  } catch (error) {
    if (thrown) throw thrown.error;
    if ((error as { code?: string }).code === 'ERR_ABORTED') throw new AbortedError(signal?.reason);
    throw translated(error);
  } finally {
    clearInterval(timer);
    signal?.removeEventListener('abort', cancel);
  }
}
