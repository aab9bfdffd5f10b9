/** Opening a device: the one place that knows which kinds there are. */
import { DeviceError, OptionError } from '../errors.js';
import { openCpuDevice } from './cpu/driver.js';
import type { DeviceDriver, DeviceKind } from './driver.js';
import type { TfjsBackendName } from './tfjs/backend.js';
import { openTfjsDevice } from './tfjs/driver.js';

export interface OpenDriverOptions {
  /** cpu: worker threads. Default UNROLLED_THREADS, else all hardware threads. */
  readonly threads?: number;
  /** cpu: instruction level ('base', 'avx2', 'avx512'). Default UNROLLED_ISA, else the best one this processor has. */
  readonly isa?: string;
  /** tfjs: backend ('cpu', 'wasm', 'tensorflow'). Default: the fastest one that loads. */
  readonly tfjsBackend?: TfjsBackendName;
}

const OPTION_NAMES: readonly string[] = ['threads', 'isa', 'tfjsBackend'];

type Opened = { readonly driver: DeviceDriver } | { readonly reason: string };

interface Entry {
  readonly kind: DeviceKind;
  /** Resolves to a driver or to why there is none; rejects on options that cannot be used. */
  readonly open: (options: OpenDriverOptions) => Promise<Opened>;
}

/** In the order in which 'auto' tries them. */
const DEVICES: readonly Entry[] = [
  {
    kind: 'cpu',
    open: async ({ threads, isa }) => openCpuDevice({ threads, isa }),
  },
  {
    kind: 'tfjs',
    open: async ({ tfjsBackend }) => {
      try {
        return { driver: await openTfjsDevice({ tfjsBackend }) };
      } catch (error) {
        if (error instanceof DeviceError) return { reason: error.message };
        throw error;
      }
    },
  },
];

const KINDS: readonly DeviceKind[] = ['cuda', 'cpu', 'tfjs'];

/**
 * Opens a device. 'auto' takes the first that opens (cpu, then tfjs); the driver's `notes` then begin with why the ones before it did not.
 * Rejects with OptionError on an unknown kind or option, DeviceError with the reason when the kind asked for cannot be opened.
 */
export async function openDriver(
  kind: 'auto' | DeviceKind = 'auto',
  options: OpenDriverOptions = {},
): Promise<DeviceDriver> {
  if (kind !== 'auto' && !KINDS.includes(kind)) {
    throw new OptionError(`device must be 'auto' or one of ${KINDS.join(', ')}, got ${JSON.stringify(kind)}`);
  }
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.includes(name)) {
      throw new OptionError(`unknown device option "${name}"; known are ${OPTION_NAMES.join(', ')}`);
    }
  }
  const candidates = DEVICES.filter((entry) => kind === 'auto' || entry.kind === kind);
  if (candidates.length === 0) {
    throw new DeviceError(
      `this version has no ${kind} device; there are ${DEVICES.map((d) => d.kind).join(', ')}`,
    );
  }
  const reasons: string[] = [];
  for (const entry of candidates) {
    const opened = await entry.open(options);
    if ('driver' in opened) return reasons.length > 0 ? withNotes(opened.driver, reasons) : opened.driver;
    reasons.push(`${entry.kind}: ${opened.reason}`);
  }
  throw new DeviceError(
    `no ${kind === 'auto' ? '' : `${kind} `}device could be opened: ${reasons.join('; ')}`,
  );
}

/** The driver, its notes preceded by `reasons`. */
function withNotes(driver: DeviceDriver, reasons: readonly string[]): DeviceDriver {
  return {
    kind: driver.kind,
    description: driver.description,
    get notes() {
      return [...reasons, ...driver.notes];
    },
    noise: driver.noise,
    load: (spec, data) => driver.load(spec, data),
    loadFunction: (spec) => driver.loadFunction(spec),
    dispose: () => driver.dispose(),
  };
}
