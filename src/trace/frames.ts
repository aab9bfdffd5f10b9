/** Where in the user's code a traced call came from, read from the stack. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The call that the user wrote, as far as the stack tells. */
export interface CallSite {
  /** Name of the outermost tfjs function that the user called ('arraySync', 'whereAsync'), if any is on the stack. */
  readonly call: string | undefined;
  /** `file:line:column` of the first frame outside tfjs, Node, node_modules and this library. */
  readonly frame: string | undefined;
}

interface Frame {
  readonly name: string | undefined;
  readonly file: string;
  readonly position: string;
}

/** The folder this library runs from (src/ or dist/): its frames are never the user's. */
const OWN_ROOT = fileURLToPath(new URL('..', import.meta.url));

const FRAME = /^\s*at (?:async )?(?:(.*?) \()?((?:file:\/\/|node:|[A-Za-z]:[\\/]|\/)[^()]*?):(\d+:\d+)\)?$/;

function parse(line: string): Frame | undefined {
  const match = FRAME.exec(line);
  if (!match) return undefined;
  const [, name, where, position] = match;
  let file = where!;
  if (file.startsWith('file://')) {
    try {
      file = fileURLToPath(file);
    } catch {
      // Not a path on this platform: shown as it came.
    }
  }
  return { name, file, position: position! };
}

/**
 * A source of tfjs that is not there: the packages carry source maps to sources that they leave out, so with source maps
 * on (tsx, `node --enable-source-maps`) their frames have such names instead of paths in node_modules.
 */
const mappedTfjs = (file: string) =>
  /[\\/]tfjs-(core|layers|data|converter|node|node-gpu|backend-[a-z]+)[\\/]src[\\/]/.test(file) &&
  !existsSync(file);
const inTfjs = (file: string) =>
  mappedTfjs(file) || /[\\/]node_modules[\\/](.*[\\/])?tfjs(-[a-z0-9-]+)?[\\/]/.test(file);
const inPackages = (file: string) => /[\\/]node_modules[\\/]/.test(file) || mappedTfjs(file);

/** 'Module.whereAsync_' -> 'whereAsync', 'Tensor.print' -> 'print', 'conv2d__op' -> 'conv2d'. */
function plainName(name: string): string | undefined {
  const last = name
    .replace(/ \[as .*\]$/, '')
    .split('.')
    .at(-1)!
    .replace(/(__op|_)$/, '');
  return /^[A-Za-z]\w*$/.test(last) ? last : undefined;
}

/** Reads the current stack. Costs tens of microseconds: meant for errors only. */
export function callSite(): CallSite {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 200;
  const stack: unknown = new Error('call site').stack;
  Error.stackTraceLimit = stackTraceLimit;
  if (typeof stack !== 'string') return { call: undefined, frame: undefined };

  let call: string | undefined;
  for (const line of stack.split('\n')) {
    const frame = parse(line);
    if (!frame || frame.file.startsWith('node:') || frame.file.startsWith(OWN_ROOT)) continue;
    if (!inPackages(frame.file)) return { call, frame: `${frame.file}:${frame.position}` };
    if (inTfjs(frame.file) && frame.name) call = plainName(frame.name) ?? call;
  }
  return { call, frame: undefined };
}
