/** What a command says and returns when it cannot go on: one line for what a user can mend, a stack only for a defect of ours. */
import { CommanderError } from 'commander';
import { AbortedError, DataError, OptionError, UnrolledError } from '../errors.js';

/** Exit codes of the command line. */
export const EXIT = {
  ok: 0,
  /** The work failed: a device that will not open, an error of our own. */
  failed: 1,
  /** What was asked for cannot be: unknown option, unusable table. */
  usage: 2,
  /** Ended by Ctrl-C, as shells report it (128 + SIGINT). */
  interrupted: 130,
} as const;

/** The exit code for an error, and the text for stderr (undefined when it was already printed). */
export function describeFailure(error: unknown): { code: number; text: string | undefined } {
  if (error instanceof CommanderError) {
    // Help and version end this way too, with code 0; messages were written by commander itself.
    return { code: error.exitCode === 0 ? EXIT.ok : EXIT.usage, text: undefined };
  }
  if (error instanceof AbortedError) return { code: EXIT.interrupted, text: 'interrupted' };
  if (error instanceof DataError || error instanceof OptionError) {
    return { code: EXIT.usage, text: `error: ${oneLine(error.message)}` };
  }
  if (error instanceof UnrolledError) return { code: EXIT.failed, text: `error: ${oneLine(error.message)}` };
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: EXIT.failed, text: `unexpected error, please report it: ${detail}` };
}

function oneLine(message: string): string {
  return message.replace(/\s*[\r\n]+\s*/g, ' ');
}
