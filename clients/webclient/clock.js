// The one clock of all pictures on screen: now, or a moment of the past that moves on with a speed.
import { batch, signal } from './vendor/signals.js';

export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];
const EDGE_MS = 4_000; // footage is written a moment after it was taken
const TICK_MS = 200;
const LONGEST_HOLD_MS = 6_000;

export const mode = signal('live'); // live, playback
export const speed = signal(1);
export const paused = signal(false);
export const shown = signal(Date.now()); // the clock's time for those who draw it, in ms since 1970
export const seeks = signal(0); // counts jumps: whoever plays goes along

let anchor = Date.now(); // the clock's time at `anchoredAt`
let anchoredAt = performance.now();
const members = new Set(); // players of footage: { state: loading, playing, gap or waiting, since, next }

/** Whether time stands still: paused, or a picture is still on its way. */
function standing() {
  if (paused.value) return true;
  const at = performance.now();
  return [...members].some(({ state, since }) => state === 'loading' && at - since < LONGEST_HOLD_MS);
}

let stood = false;

/** The clock's time, in ms since 1970. */
export function now() {
  if (mode.value === 'live') return Date.now();
  return stood ? anchor : anchor + (performance.now() - anchoredAt) * speed.value;
}

function settle(time = now()) {
  anchor = time;
  anchoredAt = performance.now();
  stood = standing();
}

/** Whether time goes on. */
export const runs = () => mode.value === 'live' || !stood;

/** Show a moment of the past. What is not yet written is live. */
export function seek(time) {
  if (time > Date.now() - EDGE_MS / 2) {
    live();
    return;
  }
  batch(() => {
    mode.value = 'playback';
    settle(Math.min(time, Date.now() - EDGE_MS));
    seeks.value += 1;
    shown.value = anchor;
  });
}

export function live() {
  batch(() => {
    mode.value = 'live';
    speed.value = 1;
    paused.value = false;
    seeks.value += 1;
    shown.value = Date.now();
  });
}

/** From live, pausing begins playback where the picture is. */
export function pause() {
  if (mode.value === 'live') seek(Date.now() - EDGE_MS);
  settle();
  paused.value = true;
  settle();
}

export function play() {
  settle();
  paused.value = false;
  settle();
}

export const toggle = () => (paused.value ? play() : pause());

export function setSpeed(value) {
  settle();
  speed.value = value;
}

export const faster = (by) => {
  const at = SPEEDS.indexOf(speed.value);
  setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + by))]);
};

/** Move by some ms; from live, backwards only. */
export const step = (ms) => seek(now() + ms);

/** A player of footage takes part: its state says whether the others wait for it. */
export function join(member) {
  members.add(member);
  return () => {
    members.delete(member);
    changed();
  };
}

/** A member's state has changed. */
export function changed() {
  if (mode.value !== 'playback') return;
  if (standing() !== stood) settle();
}

setInterval(() => {
  if (mode.value === 'live') {
    shown.value = Date.now();
    return;
  }
  if (standing() !== stood) settle();
  const time = now();
  if (time > Date.now() - EDGE_MS) { // caught up with what is being written
    if (speed.value > 1) setSpeed(1);
    settle(Math.min(time, Date.now() - EDGE_MS));
  }
  // Where no picture has footage, time goes on where the first one has some again.
  if (!paused.value && members.size && [...members].every(({ state }) => state === 'gap')) {
    const later = [...members].map(({ next }) => next).filter((next) => next > time);
    if (later.length) seek(Math.min(...later));
  }
  shown.value = now();
}, TICK_MS);
