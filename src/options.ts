/**
 * Checks of options that a user passes, with messages that name the option, what was expected, and what came.
 */
import { OptionError } from './errors.js';
import { describe } from './random/philox.js';

/** Edit distance of two short names; a misspelt option is at most a few edits away from the right one. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(previous[j] + 1, row[j - 1] + 1, substitution));
    }
    previous = row;
  }
  return previous[b.length];
}

/**
 * Refuses keys of `options` that are not in `known`, naming the nearest known one. `where` names the function
 * or object.
 * Throws OptionError when `options` is no object or holds an unknown key.
 */
export function checkKeys(options: unknown, known: readonly string[], where: string): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new OptionError(`${where} expects an object of options, got ${describe(options)}`);
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const nearest = known
      .map((name) => ({ name, edits: distance(key.toLowerCase(), name.toLowerCase()) }))
      .filter(({ name, edits }) => edits <= Math.max(2, name.length / 3))
      .sort((a, b) => a.edits - b.edits)[0];
    const hint = nearest ? ` (misspelt "${nearest.name}"?)` : '';
    throw new OptionError(`${where} has no option "${key}"${hint}; it takes ${known.join(', ')}`);
  }
}

/** An integer in [min, max]. Throws OptionError naming the option. */
export function checkInteger(
  value: unknown,
  name: string,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number {
  if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
    const range = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `in ${min}..${max}`;
    throw new OptionError(`${name} must be an integer ${range}, got ${describe(value)}`);
  }
  return value as number;
}

/** A finite number above zero. Throws OptionError naming the option. */
export function checkPositive(value: unknown, name: string): number {
  if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) {
    throw new OptionError(`${name} must be a positive finite number, got ${describe(value)}`);
  }
  return value;
}

/** One of the listed words. Throws OptionError naming the option and the words. */
export function checkChoice<T extends string>(value: unknown, name: string, choices: readonly T[]): T {
  if (!choices.includes(value as T)) {
    throw new OptionError(
      `${name} must be one of ${choices.map((choice) => `'${choice}'`).join(', ')}, got ${describe(value)}`,
    );
  }
  return value as T;
}

/** A true or false. Throws OptionError naming the option. */
export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean')
    throw new OptionError(`${name} must be true or false, got ${describe(value)}`);
  return value;
}
