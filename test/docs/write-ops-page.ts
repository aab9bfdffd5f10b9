/** `npm run docs:ops`: writes docs/ops.md. */
import { writeFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { opsPage } from './ops-table.js';

await tf.setBackend('cpu');
writeFileSync(new URL('../../docs/ops.md', import.meta.url), opsPage());
