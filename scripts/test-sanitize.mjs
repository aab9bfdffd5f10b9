// `npm run test:sanitize`: the addon and the engine's tests under AddressSanitizer and UndefinedBehaviorSanitizer, in
// their own build folder; then the vitest files that reach native code, against that addon.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { compile, missingToolchain, platformFolder, root } from './build-native.mjs';
import { engineTests, prepareResults, summarise, vitest } from './test.mjs';

const folder = 'build/sanitize';
const missing = missingToolchain();
if (missing) {
  console.error(`the sanitizer build needs a compiler and CMake: ${missing}`);
  process.exit(1);
}
prepareResults();
const defines = { UNROLLED_SANITIZE: 'ON' };
try {
  // Only levels that can run here: instrumented kernels are slow to compile.
  const { info } = createRequire(import.meta.url)(join(root, 'prebuilds', platformFolder(), 'unrolled.node'));
  const levels = info().levels.filter((level) => level.supported);
  defines.UNROLLED_LEVELS = levels.map((level) => level.name).join(';');
} catch {
  console.log('no ordinary addon to ask which instruction levels run here: building them all');
}
const addon = compile({ output: folder, targets: ['engine_tests'], defines });

// Node itself is not instrumented, so the runtime has to be there before it starts; V8 never frees everything at exit,
// which is why leaks are looked for in the engine's tests only.
const compiler = process.env.CXX ?? 'c++';
const runtime = spawnSync(compiler, ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim();
const strict = 'abort_on_error=1:halt_on_error=1';
const undefinedBehaviour = { UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1' };
const engine = engineTests(folder, { ASAN_OPTIONS: `${strict}:detect_leaks=1`, ...undefinedBehaviour });
const nativeFacing =
  process.argv.length > 2 ? process.argv.slice(2) : ['test/device', 'test/conformance', 'test/transform'];
const facing = vitest(nativeFacing, {
  UNROLLED_ADDON: addon,
  LD_PRELOAD: runtime,
  ASAN_OPTIONS: `${strict}:detect_leaks=0`,
  ...undefinedBehaviour,
});
summarise([engine, facing]);
