/** Opening a device by name. */
import { type OpenDriverOptions, openDriver } from '../device/open.js';
import { Device } from './device.js';

/**
 * Opens a device. 'auto' takes the native CPU engine where its addon loads, else tfjs; `device.notes` says
 * why not.
 * Rejects with OptionError on an unknown kind or option, DeviceError when the device cannot be opened.
 *
 *     await using device = await openDevice('auto');
 *     const program = device.compile(definition, { data });
 */
export async function openDevice(
  kind: 'auto' | 'cpu' | 'tfjs' = 'auto',
  options: OpenDriverOptions = {},
): Promise<Device> {
  return new Device(await openDriver(kind, options));
}
