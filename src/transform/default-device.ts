/** Which device a compiled function runs on. */
import { openCpuDevice } from '../device/cpu/driver.js';
import type { DeviceDriver } from '../device/driver.js';
import { openActiveTfjsDevice } from '../device/tfjs/active.js';
import { DeviceError, OptionError } from '../errors.js';
import { describe } from '../random/philox.js';
import { Device } from './device.js';

/** A device, by name or opened: 'auto' is 'cpu', or 'tfjs' where there is no native addon. */
export type DeviceChoice = Device | 'auto' | 'cpu' | 'tfjs';

export interface FunctionDevice {
  readonly driver: DeviceDriver;
  /** What it is, and why nothing better. */
  readonly description: string;
}

/** The native engine that all compiled functions of this thread share; opened at the first call and never closed. */
let native: { readonly driver: DeviceDriver } | { readonly reason: string } | undefined;
let warned = false;

function described(driver: DeviceDriver): FunctionDevice {
  return { driver, description: [`${driver.kind}: ${driver.description}`, ...driver.notes].join('; ') };
}

/**
 * The device for a choice, opened if need be, at once: about 1 ms for the native engine. 'auto' without an addon warns once per process
 * (code UNROLLED_NO_ADDON) and takes the tfjs device on the backend that is active.
 *
 * Throws OptionError on an unknown choice, DeviceError when 'cpu' is asked for and cannot be had.
 */
export function functionDevice(choice: DeviceChoice): FunctionDevice {
  if (choice instanceof Device) return described(choice.driver);
  if (choice !== 'auto' && choice !== 'cpu' && choice !== 'tfjs') {
    throw new OptionError(
      `device must be a device from openDevice, 'auto', 'cpu' or 'tfjs', got ${describe(choice)}`,
    );
  }
  if (choice === 'tfjs') return described(openActiveTfjsDevice());
  native ??= openCpuDevice();
  if ('driver' in native) return described(native.driver);
  if (choice === 'cpu') throw new DeviceError(`no cpu device could be opened: ${native.reason}`);
  const tfjs = described(openActiveTfjsDevice());
  if (!warned) {
    warned = true;
    process.emitWarning(`compiled functions run on ${tfjs.description}, not natively: ${native.reason}`, {
      code: 'UNROLLED_NO_ADDON',
    });
  }
  return {
    driver: tfjs.driver,
    description: `${tfjs.description}; not native: ${native.reason}`,
  };
}
