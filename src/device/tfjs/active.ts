/** The tfjs device on whatever backend the user has made active, without a choice and without waiting. */
import type { DeviceDriver } from '../driver.js';
import { activeBackend } from './backend.js';
import { TfjsDriver } from './driver.js';

const opened = new Map<string, DeviceDriver>();

/**
 * The device on the active backend (tfjs initialises one if none is): the same one for the same backend. Never disposed of. Throws DeviceError
 * where no backend can be had at once (await tf.ready() first).
 */
export function openActiveTfjsDevice(): DeviceDriver {
  const backend = activeBackend();
  let driver = opened.get(backend.name);
  if (!driver) {
    driver = new TfjsDriver(backend);
    opened.set(backend.name, driver);
  }
  return driver;
}
