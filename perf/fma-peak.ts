/** The machine's multiply-add limit, from a small C++ program that is compiled for it on first use. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('./fma-peak.cpp', import.meta.url));
const folder = fileURLToPath(new URL('../build/perf/', import.meta.url));

function binary(): string {
  const path = join(folder, 'fma-peak');
  if (!existsSync(path) || statSync(path).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(folder, { recursive: true });
    const arguments_ = ['-O3', '-march=native', '-pthread', '-o', path, source];
    execFileSync(process.env.CXX ?? 'c++', arguments_, { stdio: 'inherit' });
  }
  return path;
}

/** GFLOP/s of float32 multiply-adds (counted twice) on `threads` threads, measured now for a third of a second. */
export function fmaPeak(threads: number): number {
  return Number(execFileSync(binary(), [String(threads), '0.33'], { encoding: 'utf8' }));
}
