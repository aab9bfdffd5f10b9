/** Checks of command line values; commander turns their errors into `error: option '--x' argument 'y' is invalid. ...`. */
import { InvalidArgumentError } from 'commander';

/** An integer in [low, high], in decimal digits; `even` ones only when asked. */
export function integer(low: number, high = Number.MAX_SAFE_INTEGER, even = false) {
  const wanted = `Expected an ${even ? 'even ' : ''}integer ${high === Number.MAX_SAFE_INTEGER ? `>= ${low}` : `in ${low}..${high}`}.`;
  return (text: string): number => {
    const value = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (!(value >= low && value <= high) || (even && value % 2 !== 0)) throw new InvalidArgumentError(wanted);
    return value;
  };
}
