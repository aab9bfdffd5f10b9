/** The devices that tests run on. */
import { loadNative } from '../../src/device/cpu/native.js';
import { Device } from '../../src/transform/device.js';
import { openDevice } from '../../src/transform/open-device.js';
import { referenceDriver } from './reference-driver.js';

/** Whether the native engine is there. Without it, statistical tests run on tfjs with fewer particles. */
export const NATIVE = loadNative().ok;

/** Opens the fastest device of this machine. */
export function openFastest(): Promise<Device> {
  return openDevice(NATIVE ? 'cpu' : 'tfjs');
}

/** `native` where the native engine is there, else `tfjs`: how much a test does. */
export function effort<T>(amounts: { readonly native: T; readonly tfjs: T }): T {
  return NATIVE ? amounts.native : amounts.tfjs;
}

/** Every device that opens here, and the reference evaluator. */
export const DEVICES: readonly { readonly name: string; readonly open: () => Promise<Device> }[] = [
  { name: 'reference', open: async () => new Device(referenceDriver()) },
  { name: 'tfjs', open: () => openDevice('tfjs') },
  ...(NATIVE
    ? [
        { name: 'cpu', open: () => openDevice('cpu') },
        { name: 'cpu with one thread', open: () => openDevice('cpu', { threads: 1 }) },
      ]
    : []),
];
