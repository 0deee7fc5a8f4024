// The sound of one chosen camera: live by a stream of its own, of footage together with the picture.
import { effect, signal } from './vendor/signals.js';
import * as clock from './clock.js';
import { Player } from './player.js';

export const chosen = signal(null); // camera id
export const trouble = signal('');

export const element = new Audio();
let player = null;
let playing = null;

function stop() {
  player?.close();
  player = null;
  playing = null;
}

/** Listen to a camera, or to none when it is chosen already. */
export function listen(cameraId) {
  trouble.value = '';
  chosen.value = chosen.value === cameraId ? null : cameraId;
}

effect(() => {
  const camera = clock.mode.value === 'live' ? chosen.value : null;
  if (camera === playing) return;
  stop();
  if (!camera) return;
  playing = camera;
  player = new Player(element, camera, 'main', (state, detail) => {
    trouble.value = state === 'refused' ? detail : '';
    if (state === 'refused') queueMicrotask(() => { chosen.value = null; });
  }, 'audio');
});
