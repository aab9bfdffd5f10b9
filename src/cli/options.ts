/** Checks of command line values; commander turns their errors into `error: option '--x' argument 'y' is invalid. ...`. */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { OptionError } from '../errors.js';

/** An integer in [low, high], in decimal digits; `even` ones only when asked. */
export function integer(low: number, high = Number.MAX_SAFE_INTEGER, even = false) {
  const wanted = `Expected an ${even ? 'even ' : ''}integer ${high === Number.MAX_SAFE_INTEGER ? `>= ${low}` : `in ${low}..${high}`}.`;
  return (text: string): number => {
    const value = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (!(value >= low && value <= high) || (even && value % 2 !== 0)) throw new InvalidArgumentError(wanted);
    return value;
  };
}

/** Finds out before the work, not after it, that the report cannot be written. Throws OptionError. */
export function checkReportPath(path: string): void {
  const folder = dirname(resolve(path));
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    throw new OptionError(`--report ${path}: the folder ${folder} does not exist or cannot be written to`);
  }
  const existing = statSync(path, { throwIfNoEntry: false });
  if (existing?.isDirectory()) throw new OptionError(`--report ${path}: it is a directory`);
}
