// When there is footage of which camera: asked for what the timeline shows, and for where a gap ends.
import { signal } from './vendor/signals.js';
import { cameraPath, open } from './api.js';

const FRESH_MS = 10_000; // the newest end grows
const MARGIN_MS = 2 * 3_600_000; // known on both sides, so that dragging shows no emptiness
const FAR_MS = 31 * 86_400_000;

export const spans = signal({}); // camera id -> { from, to, at, items: [{ start, end, protected }], problem }

const asking = new Set();

const parsed = ({ spans: items }) =>
  items
    .filter(({ stream }) => stream === 'main')
    .map((span) => ({ start: Date.parse(span.start), end: Date.parse(span.end), protected: span.protected }));

async function ask(camera, from, to) {
  const query = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  return parsed(await (await open('GET', cameraPath(camera, 'timeline', query))).json());
}

/** Make sure that a stretch of time is known; harmless to call often. */
export async function want(camera, from, to) {
  const known = spans.value[camera.id];
  const stale = !known || known.from > from || known.to < Math.min(to, known.at)
    || (to > known.at && Date.now() - known.at > FRESH_MS) || (known.problem && Date.now() - known.at > FRESH_MS);
  if (!stale || asking.has(camera.id)) return;
  asking.add(camera.id);
  const margin = Math.min(to - from, MARGIN_MS);
  const asked = { from: from - margin, to: to + margin, at: Date.now() };
  try {
    const items = await ask(camera, asked.from, asked.to);
    spans.value = { ...spans.value, [camera.id]: { ...asked, items, problem: '' } };
  } catch (problem) {
    const items = known?.items ?? [];
    spans.value = { ...spans.value, [camera.id]: { ...asked, items, problem: problem.message } };
  } finally {
    asking.delete(camera.id);
  }
}

/** Where footage begins again after a moment; none when there is none. */
export async function nextStart(camera, time) {
  const items = await ask(camera, time, Math.min(Date.now(), time + FAR_MS));
  const next = items.find(({ end }) => end > time + 100);
  return next ? Math.max(next.start, time) : null;
}

export function forget() {
  spans.value = {};
}
