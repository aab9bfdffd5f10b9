/** Every device of this machine, by name, for suites that run the same cases on each. */
import { openCpuDevice } from '../../src/device/cpu/driver.js';
import { loadNative } from '../../src/device/cpu/native.js';
import type { DeviceDriver } from '../../src/device/driver.js';
import { openTfjsDevice } from '../../src/device/tfjs/driver.js';

function cpu(isa: string | undefined): DeviceDriver {
  const opened = openCpuDevice({ threads: 2, isa });
  if ('reason' in opened) throw new Error(opened.reason);
  return opened.driver;
}

export interface NamedDevice {
  readonly name: string;
  open(): Promise<DeviceDriver>;
}

const native = loadNative();
if (!native.ok) console.warn(`conformance without the native device: ${native.reason}`);

export const DEVICES: readonly NamedDevice[] = [
  { name: 'tfjs on cpu', open: () => openTfjsDevice({ tfjsBackend: 'cpu' }) },
  { name: 'tfjs on wasm', open: () => openTfjsDevice({ tfjsBackend: 'wasm' }) },
  ...(native.ok
    ? [
        { name: 'cpu', open: async () => cpu(undefined) },
        { name: 'cpu, base instructions', open: async () => cpu('base') },
      ]
    : []),
];
