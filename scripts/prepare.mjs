// Runs after `npm ci` in a checkout and before `npm pack`: the native addon where it can be built, then dist/.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { buildNative, root } from './build-native.mjs';

if (process.env.UNROLLED_SKIP_NATIVE === '1') {
  console.log(
    'unrolled: UNROLLED_SKIP_NATIVE=1, the native addon was not built; the tfjs device will be used.',
  );
} else {
  try {
    buildNative();
  } catch (error) {
    console.warn(
      `unrolled: WARNING: the native addon was not built (${error.message}). Everything still works, slower, on the ` +
        'tfjs device. To get the cpu device, install CMake and a C++20 compiler and run `npm run build:native`.',
    );
  }
}

const tsc = createRequire(join(root, 'package.json')).resolve('typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.json'], { cwd: root, stdio: 'inherit' });
process.exitCode = status ?? 1;
