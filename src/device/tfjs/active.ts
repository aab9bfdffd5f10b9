/** The tfjs device on whatever backend the user has made active, without a choice and without waiting. */
import * as tf from '@tensorflow/tfjs';
import type { DeviceDriver } from '../driver.js';
import type { TfjsBackendName } from './backend.js';
import { TfjsDriver } from './driver.js';

const opened = new Map<string, DeviceDriver>();

/**
 * The device on the active backend (tfjs initialises one if none is): the same one for the same backend. Never disposed of. Throws what
 * tfjs throws where no backend can be had.
 */
export function openActiveTfjsDevice(): DeviceDriver {
  // Reading the backend makes tfjs choose and start one.
  void tf.engine().backend;
  const name = tf.getBackend();
  let driver = opened.get(name);
  if (!driver) {
    // Any backend will do here, also one that openDevice does not offer by name.
    driver = new TfjsDriver({ name: name as TfjsBackendName, package: 'the active backend', notes: [] });
    opened.set(name, driver);
  }
  return driver;
}
