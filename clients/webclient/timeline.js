// When there is footage, and where the clock is: one thin row a camera, alarms above, time below.
import { effect, signal } from './vendor/signals.js';
import { useEffect, useRef } from './vendor/hooks.js';
import { html } from './html.js';
import { Minus, Plus } from './icons.js';
import * as clock from './clock.js';
import { spans, want } from './recordings.js';
import * as state from './state.js';
import * as view from './view.js';
import { dayOf, fullMoment, span, timeOfDay } from './words.js';

const HOUR = 3_600_000;
const SHORTEST = 20_000;
const LONGEST = 31 * 24 * HOUR;
const AHEAD = 0.04; // of the window, right of now
const STEPS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 7 * 86_400].map((s) => s * 1000);
const AXIS_PX = 18;
const ALARM_PX = 9;
const MOVED_PX = 4; // beyond it, a press is a drag
const LABEL_PX = 80;
const KEY_STEP_S = { ArrowLeft: -10, ArrowRight: 10, PageUp: -60, PageDown: 60 };

const width = signal(HOUR); // of the window, ms
const right = signal(null); // its end; none: it goes along with the clock
const hover = signal(null);

function windowNow() {
  const at = clock.shown.value;
  let to = right.value;
  if (to === null) {
    to = clock.mode.value === 'live' ? at + width.value * AHEAD : Math.min(Date.now() + width.value * AHEAD, at + width.value / 2);
  }
  return { from: to - width.value, to };
}

/** Zoom around a moment that stays where it is. */
function zoom(factor, around = clock.now()) {
  const { from, to } = windowNow();
  const next = Math.min(LONGEST, Math.max(SHORTEST, width.value * factor));
  const share = Math.min(1, Math.max(0, (around - from) / (to - from)));
  width.value = next;
  const end = around + next * (1 - share);
  right.value = right.value === null && share > 0.4 ? null : Math.min(end, Date.now() + next * AHEAD);
}

/** Bring the clock back into the window. */
export function follow() {
  right.value = null;
}

function colours(element) {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

function midnightOf(time) {
  const at = new Date(time);
  at.setHours(0, 0, 0, 0);
  return at.getTime();
}

function draw(canvas) {
  if (!canvas) return; // on its way out
  const { clientWidth: wide, clientHeight: high } = canvas;
  const ratio = devicePixelRatio || 1;
  if (!wide || !high) return;
  if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) {
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
  }
  const { from, to } = windowNow();
  const colour = colours(canvas);
  const context = canvas.getContext('2d');
  const x = (time) => ((time - from) / (to - from)) * wide;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, wide, high);
  const floor = high - AXIS_PX;

  // What is still to come has another ground.
  const now = Date.now();
  context.fillStyle = colour('ground');
  if (x(now) < wide) context.fillRect(Math.max(0, x(now)), 0, wide, floor);

  // The axis.
  const step = STEPS.find((each) => (each / (to - from)) * wide >= LABEL_PX) ?? STEPS.at(-1);
  context.font = `11px ${getComputedStyle(canvas).fontFamily}`;
  context.textBaseline = 'middle';
  for (let at = midnightOf(from); at < to; at += step) {
    if (at < from - step) continue;
    const left = x(at);
    context.fillStyle = colour('line');
    context.fillRect(Math.round(left), 0, 1, floor + 4);
    context.fillStyle = colour('faint');
    const midnight = new Date(at).getHours() === 0 && new Date(at).getMinutes() === 0 && new Date(at).getSeconds() === 0;
    const text = midnight || step >= STEPS.at(-2) ? dayOf(at) : timeOfDay(at).slice(0, step < 60_000 ? 8 : 5);
    if (left + 4 + context.measureText(text).width < wide) context.fillText(text, left + 4, floor + AXIS_PX / 2 + 1);
  }

  // Footage, a row a camera.
  const cameras = view.shownCameras.value;
  const top = ALARM_PX + 3;
  const row = Math.min(14, (floor - top - 3) / Math.max(1, cameras.length));
  const selected = view.selectedCamera.value?.id;
  cameras.forEach((camera, index) => {
    const y = top + index * row;
    const thick = Math.max(2, row - 2);
    context.globalAlpha = camera.id === selected || cameras.length === 1 ? 1 : 0.6;
    for (const { start, end, protected: kept } of spans.value[camera.id]?.items ?? []) {
      if (end < from || start > to) continue;
      context.fillStyle = colour(kept ? 'kept' : 'recorded');
      const left = Math.max(0, x(start));
      context.fillRect(left, y, Math.max(1, Math.min(wide, x(end)) - left), thick);
    }
    context.globalAlpha = 1;
  });

  // Alarms of these cameras.
  const ids = new Set(cameras.map(({ id }) => id));
  for (const event of state.alarmEvents.value) {
    const at = Date.parse(event.occurred_at);
    if (at < from || at > to || ![event.source_id, ...event.camera_ids].some((id) => ids.has(id))) continue;
    context.fillStyle = event.colour;
    context.beginPath();
    context.moveTo(x(at) - 4.5, 1);
    context.lineTo(x(at) + 4.5, 1);
    context.lineTo(x(at), ALARM_PX);
    context.fill();
  }

  // Where the clock is.
  const at = x(clock.shown.value);
  context.fillStyle = colour(clock.mode.value === 'live' ? 'bad' : 'accent');
  context.fillRect(Math.round(at) - 1, 0, 2, floor + 2);
  if (hover.value !== null) {
    const text = new Date(hover.value).toDateString() === new Date().toDateString()
      ? timeOfDay(hover.value) : `${dayOf(hover.value)}, ${timeOfDay(hover.value)}`;
    const left = Math.min(wide - context.measureText(text).width - 10, Math.max(0, x(hover.value) + 6));
    context.fillStyle = colour('surface');
    context.globalAlpha = 0.9;
    context.fillRect(left, floor - 17, context.measureText(text).width + 8, 16);
    context.globalAlpha = 1;
    context.fillStyle = colour('text');
    context.fillText(text, left + 4, floor - 9);
    context.fillRect(Math.round(x(hover.value)), 0, 1, floor);
  }
}

/** Drag, click, wheel and two fingers. */
function useHands(canvas) {
  useEffect(() => {
    const element = canvas.current;
    const pointers = new Map();
    let moved = false;
    let pinch = 0;
    const timeAt = (clientX) => {
      const { left, width: wide } = element.getBoundingClientRect();
      const { from, to } = windowNow();
      return from + ((clientX - left) / wide) * (to - from);
    };
    const spread = () => {
      const [a, b] = [...pointers.values()];
      return Math.max(10, Math.abs(a - b));
    };
    const on = {
      pointerdown(event) {
        if (event.button) return;
        element.setPointerCapture(event.pointerId);
        pointers.set(event.pointerId, event.clientX);
        moved = pointers.size > 1;
        if (pointers.size === 2) pinch = spread();
      },
      pointermove(event) {
        hover.value = event.pointerType === 'mouse' ? timeAt(event.clientX) : null;
        if (!pointers.has(event.pointerId)) return;
        const before = pointers.get(event.pointerId);
        const by = event.clientX - before;
        if (!moved && Math.abs(by) <= MOVED_PX) return;
        moved = true;
        pointers.set(event.pointerId, event.clientX);
        if (pointers.size === 2) {
          const [a, b] = [...pointers.values()];
          zoom(pinch / spread(), timeAt((a + b) / 2));
          pinch = spread();
        } else {
          const { from, to } = windowNow();
          const shift = (by / element.clientWidth) * (to - from);
          right.value = Math.min(to - shift, Date.now() + width.value * AHEAD);
        }
      },
      pointerup(event) {
        if (!pointers.delete(event.pointerId)) return;
        if (!moved && state.mayPlay.value) clock.seek(timeAt(event.clientX));
      },
      pointercancel(event) { pointers.delete(event.pointerId); },
      pointerleave() { hover.value = null; },
      wheel(event) {
        event.preventDefault();
        if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
          right.value = Math.min(windowNow().to + (event.deltaX / element.clientWidth) * width.value, Date.now() + width.value * AHEAD);
        } else zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event.clientX));
      },
    };
    Object.entries(on).forEach(([name, listener]) => element.addEventListener(name, listener, { passive: false }));
    return () => Object.entries(on).forEach(([name, listener]) => element.removeEventListener(name, listener));
  }, []);
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in KEY_STEP_S) clock.step(KEY_STEP_S[event.key] * (event.shiftKey ? 6 : 1) * 1000);
  else if (event.key === '+' || event.key === '=') zoom(0.5);
  else if (event.key === '-') zoom(2);
  else if (event.key === 'End') clock.live();
  else if (event.key === 'Home') clock.seek(windowNow().from);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

export function Timeline() {
  const canvas = useRef(null);
  useHands(canvas);
  useEffect(() => {
    const watch = new ResizeObserver(() => draw(canvas.current));
    watch.observe(canvas.current);
    const stop = effect(() => {
      void state.theme.value;
      draw(canvas.current);
    });
    const dusk = matchMedia('(prefers-color-scheme: dark)');
    const again = () => draw(canvas.current);
    dusk.addEventListener('change', again);
    return () => {
      watch.disconnect();
      stop();
      dusk.removeEventListener('change', again);
    };
  }, []);
  useEffect(() => effect(() => {
    if (!state.mayPlay.value) return;
    const { from, to } = windowNow();
    view.shownCameras.value.forEach((camera) => { want(camera, from, Math.min(to, Date.now())); });
  }), []);
  const { from, to } = windowNow();
  const at = clock.shown.value;
  const problem = view.shownCameras.value.map(({ id }) => spans.value[id]?.problem).find(Boolean);
  return html`
    <div class="timeline">
      <div class="track" role="slider" tabindex="0" aria-label="Timeline. Arrow keys move by 10 seconds, plus and minus zoom, End is live"
        aria-valuemin=${Math.round(from / 1000)} aria-valuemax=${Math.round(to / 1000)} aria-valuenow=${Math.round(at / 1000)}
        aria-valuetext=${`${fullMoment(at)}, ${clock.mode.value === 'live' ? 'live' : 'archive'}`}
        data-from=${Math.round(from)} data-to=${Math.round(to)} onKeyDown=${onKey}>
        <canvas ref=${canvas}></canvas>
        ${problem && html`<p class="trouble" role="status">${problem}</p>`}
        ${!state.mayPlay.value && html`<p class="trouble">Your profile shows no footage.</p>`}
      </div>
      <div class="zoom" role="group" aria-label=${`The timeline shows ${span(to - from)}`}>
        <button title="Zoom in (+)" aria-label="Zoom in" onClick=${() => zoom(0.5)}><${Plus} /></button>
        <button title="Zoom out (-)" aria-label="Zoom out" onClick=${() => zoom(2)}><${Minus} /></button>
      </div>
    </div>`;
}
