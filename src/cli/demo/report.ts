/** The demo's report: one HTML file that needs nothing else, no script and no network. */
import { comparisonChart, learningChart, outerLossChart, renderSvg, settingsChart } from './charts.js';
import { type DemoResult, number, type Settings, verdict } from './result.js';

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1e21; background: #fff; max-width: 760px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0.2rem; }
h2 { font-size: 1.1rem; margin-top: 2.2rem; }
p.verdict { font-size: 1.1rem; }
table { border-collapse: collapse; }
th, td { text-align: right; padding: 0.25rem 0.9rem; border-bottom: 1px solid #e3e5e8; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; padding-left: 0; font-weight: normal; }
svg { max-width: 100%; height: auto; }
p.note, li { color: #555a61; font-size: 0.93rem; }
`;

/** Renders the charts and puts the page together. */
export async function reportHtml(result: DemoResult): Promise<string> {
  const [comparison, learning, outer, settings] = await Promise.all(
    [comparisonChart, learningChart, outerLossChart, settingsChart].map((chart) => renderSvg(chart(result))),
  );
  const { table } = result;
  const before = result.defaultEvaluation;
  const after = result.tunedEvaluation;
  const notes = [...table.notes, ...result.notes].map((note) => `<li>${escapeHtml(note)}</li>`).join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Unrolled: tuning a classifier's training</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Tuning a classifier's training</h1>
<p class="note">${escapeHtml(table.source)}: ${table.rows} rows (${table.dropped} with missing values dropped), ${table.features.length} features,
${table.classes.length} classes of ${escapeHtml(table.label)}</p>
<p class="verdict">${escapeHtml(verdict(result))}</p>
${comparison}
<p class="note">Mean of ${result.runs} training runs for each setting, on fresh seeds (own initial weights and minibatches), over ${table.validation}
validation rows that were used neither for training nor for tuning. Lines: 95 % confidence interval of the mean.</p>
<table>
<tr><th></th><th>default</th><th>tuned</th></tr>
${settingsRows(result.defaults, result.tuned)}
<tr><td>validation loss</td><td>${withInterval(before.loss)}</td><td>${withInterval(after.loss)}</td></tr>
<tr><td>validation accuracy</td><td>${percent(before.accuracy.mean)}</td><td>${percent(after.accuracy.mean)}</td></tr>
</table>
<h2>Learning curves</h2>
${learning}
<p class="note">Validation loss after each of ${result.horizon} training steps: mean, and the middle 95 % of the runs.</p>
<h2>The outer loss</h2>
${outer}
<p class="note">What is tuned for: the loss on ${table.tuning} tuning rows, averaged over the training run with weights that grow linearly from its first to its
last step. Each of ${result.updates} updates advances
${result.particles.toLocaleString('en')} perturbed training runs by ${result.truncation} steps. Grey: single updates, whose minibatches differ; blue: the mean over as many updates as a
training run takes.</p>
<h2>The settings</h2>
${settings}
<h2>How it was made</h2>
<ul>
<li>Persistent evolution strategies over log learning rate, logit momentum, log weight decay and decay exponent; Adam on their gradient.</li>
<li>The learning rate at step t is rate x (1 + 10 t / ${result.horizon})<sup>-exponent</sup>.</li>
<li>Split by class: ${table.train} training, ${table.tuning} tuning, ${table.validation} validation rows; seed ${result.seed}.</li>
<li>Device: ${escapeHtml(result.deviceDescription)}; ${number(result.particleStepsPerSecond)} particle-steps a second while tuning,
${number(result.particleSteps)} in all; ${result.seconds.toFixed(1)} s from start to end.</li>
${notes}
</ul>
</body>
</html>
`;
}

function settingsRows(before: Settings, after: Settings): string {
  const rows: [string, keyof Settings][] = [
    ['learning rate', 'learningRate'],
    ['momentum', 'momentum'],
    ['weight decay', 'weightDecay'],
    ['decay exponent', 'decayExponent'],
  ];
  return rows
    .map(
      ([title, key]) =>
        `<tr><td>${title}</td><td>${number(before[key])}</td><td>${number(after[key])}</td></tr>`,
    )
    .join('\n');
}

function withInterval({ mean, interval }: { mean: number; interval: readonly [number, number] }): string {
  return `${number(mean)} [${number(interval[0])}, ${number(interval[1])}]`;
}

function percent(share: number): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : 'n/a';
}

/** Text that may stand anywhere in HTML. */
export function escapeHtml(text: string): string {
  const names: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => names[character]);
}
