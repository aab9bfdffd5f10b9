// Builds the native addon: the one entry that `npm run build:native`, `prepare` and binding.gyp share.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** `linux-x64`, `linux-x64-musl`, `darwin-arm64`, ... : the folder name under prebuilds/ for the running process. */
export function platformFolder() {
  const musl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime;
  return `${process.platform}-${process.arch}${musl ? '-musl' : ''}`;
}

function runs(command, args = ['--version']) {
  const result = spawnSync(command, args, { stdio: 'ignore' });
  return !result.error && result.status === 0;
}

/** What keeps this machine from building native code, or undefined when nothing obvious does. */
export function missingToolchain() {
  if (!runs('cmake')) return 'CMake was not found on the PATH';
  if (process.platform === 'win32') return undefined; // cmake-js looks for Visual Studio itself
  const compilers = [process.env.CXX, 'c++', 'g++', 'clang++'].filter(Boolean);
  if (!compilers.some((compiler) => runs(compiler)))
    return 'no C++ compiler was found (tried c++, g++, clang++)';
  return undefined;
}

/** Two builds in one folder would corrupt each other; a lock left behind by a dead process is taken over. */
function withBuildLock(folder, body) {
  mkdirSync(folder, { recursive: true });
  const lock = join(folder, '.lock');
  const deadline = Date.now() + 15 * 60_000;
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      let owner = 0;
      try {
        owner = Number(readFileSync(lock, 'utf8'));
        if (owner > 0) process.kill(owner, 0);
      } catch (gone) {
        if (gone.code === 'ESRCH') rmSync(lock, { force: true });
      }
      if (Date.now() > deadline) throw new Error(`another build (process ${owner}) holds ${lock}`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
  try {
    return body();
  } finally {
    rmSync(lock, { force: true });
  }
}

/**
 * Compiles native/ with cmake-js into `output` and returns the path of the addon it made.
 * Options: `output` (build folder relative to the root), `targets` (more CMake targets to build),
 * `defines` (CMake cache entries). Throws an Error whose message says what was missing or which command failed.
 */
export function compile({ output = 'build/cmake', targets = [], defines = {} } = {}) {
  const missing = missingToolchain();
  if (missing) throw new Error(missing);
  // Hoisting moves packages, so ordinary resolution finds cmake-js rather than a node_modules path.
  const cmakeJs = createRequire(join(root, 'package.json')).resolve('cmake-js/bin/cmake-js');
  const folder = join(root, output);
  return withBuildLock(folder, () => {
    const options = Object.entries(defines).map(([name, value]) => `--CD${name}=${value}`);
    const run = (command, args) => {
      const { status, error } = spawnSync(command, args, {
        cwd: root,
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      if (error) throw error;
      if (status !== 0) throw new Error(`${[command, ...args].join(' ')} exited with ${status}`);
    };
    run(process.execPath, [cmakeJs, 'build', '-d', 'native', '-O', output, ...options]);
    if (targets.length > 0) run('cmake', ['--build', output, '--config', 'Release', '--target', ...targets]);
    const addon = join(folder, 'Release', 'unrolled.node');
    if (!existsSync(addon)) throw new Error(`the build ended without ${addon}`);
    return addon;
  });
}

/** Compiles the addon and puts it where the library looks for it; returns that path. */
export function buildNative(options = {}) {
  const addon = compile(options);
  const folder = join(root, 'prebuilds', platformFolder());
  mkdirSync(folder, { recursive: true });
  const target = join(folder, 'unrolled.node');
  // Copy aside and rename: a process that has the old file mapped keeps the old file.
  const fresh = join(folder, `unrolled.node.${process.pid}`);
  copyFileSync(addon, fresh);
  renameSync(fresh, target);
  return target;
}

if (process.argv[1] && import.meta.url === pathToFileURL(resolve(process.argv[1])).href) {
  try {
    console.log(`native addon: ${buildNative()}`);
  } catch (error) {
    console.error(`native build failed: ${error.message}`);
    process.exitCode = 1;
  }
}
