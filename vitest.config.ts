import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  // The package by its own name is the source, not whatever dist/ holds.
  resolve: {
    alias: [
      { find: /^unrolled$/, replacement: fileURLToPath(new URL('./src/index.ts', import.meta.url)) },
      {
        find: /^unrolled\/tfjs-backend$/,
        replacement: fileURLToPath(new URL('./src/backend/index.ts', import.meta.url)),
      },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    // A fork each: the native addon's environment and tfjs's global engine must not be shared between files.
    pool: 'forks',
    // Vitest leaves one core to itself, but does next to nothing while a file runs.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
});
