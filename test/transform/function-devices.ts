import { Device } from '../../src/transform/device.js';
import { referenceDriver } from '../support/reference-driver.js';
export async function openForFunctions(): Promise<Device> {
  return new Device(referenceDriver());
}
