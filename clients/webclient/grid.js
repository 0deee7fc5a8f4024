// The cameras on screen.
import { useEffect, useRef, useState } from './vendor/hooks.js';
import { html } from './html.js';
import { Back, NoPicture } from './icons.js';
import { Player } from './player.js';
import * as state from './state.js';

const CONDITIONS = {
  connecting: 'Connecting to the camera',
  no_signal: 'No signal',
  refused: 'The camera refuses',
  disabled: 'Switched off',
};

const HEADLINES = { connecting: 'Connecting', still: 'The picture stands still' };

function explain(status, condition) {
  if (condition && condition.condition !== 'running') {
    return [CONDITIONS[condition.condition] ?? condition.condition, condition.problem];
  }
  return [HEADLINES[status.state] ?? 'No picture', status.detail];
}

function Cell({ camera, alone }) {
  const video = useRef(null);
  const [status, setStatus] = useState({ state: 'connecting', detail: '' });
  // Grids show the small stream where there is one; a camera alone is worth the full one.
  const stream = !alone && camera.sub_url ? 'sub' : 'main';

  useEffect(() => {
    const player = new Player(video.current, camera.id, stream, (name, detail) => {
      setStatus((before) => (before.state === name && before.detail === detail ? before : { state: name, detail }));
    });
    return () => player.close();
  }, [camera.id, stream]);

  const condition = state.conditions.value[camera.id];
  const alarm = state.alarmOf.value[camera.id];
  const flash = state.flashing.value[camera.id];
  const live = status.state === 'live';
  const [headline, detail] = live ? [] : explain(status, condition);
  const toggle = () => { state.single.value = alone ? null : camera.id; };
  const classes = ['cell', alarm && 'alarmed', flash && 'flashing', !live && (status.state === 'still' ? 'dim' : 'dark')].filter(Boolean).join(' ');

  return html`
    <section class=${classes} data-camera-id=${camera.id} data-stream=${stream} data-status=${status.state}
      style=${{ '--alarm': flash ?? alarm?.colour ?? 'transparent' }} aria-label=${camera.name}>
      <video ref=${video} muted playsinline disablepictureinpicture
        aria-label=${`Live picture of ${camera.name}`}></video>
      ${!live && html`
        <div class="cover" role="status">
          ${status.state === 'connecting' ? html`<span class="spinner" aria-hidden="true"></span>` : html`<${NoPicture} />`}
          <strong>${headline}</strong>
          ${detail && html`<span>${detail}</span>`}
        </div>`}
      <button class="open" onClick=${toggle}
        aria-label=${alone ? `Back to all cameras` : `Show ${camera.name} alone`}></button>
      <div class="caption">
        ${alone && html`<span class="back" aria-hidden="true"><${Back} /></span>`}
        <span class=${`dot ${live ? 'good' : status.state === 'connecting' ? 'busy' : 'bad'}`} aria-hidden="true"></span>
        <span class="name">${camera.name}</span>
        ${condition?.recording && html`<span class="recording" title="Is being recorded">REC</span>`}
        ${alarm && html`<span class="tag">${alarm.alarm_name}</span>`}
      </div>
    </section>`;
}

export function Grid() {
  const cells = state.shown.value;
  const alone = Boolean(state.single.value) && cells.length === 1;
  const side = alone ? 1 : Math.sqrt(state.layout.value);
  if (!state.mayWatch.value) return html`<div class="grid empty"><p>Your profile does not show live pictures.</p></div>`;
  if (!cells.length) return html`<div class="grid empty"><p>There is no camera to show yet.</p></div>`;
  const empty = alone ? 0 : Math.max(0, state.layout.value - cells.length);
  return html`
    <div class=${`grid side-${side}`} role="region" aria-label="Cameras">
      ${cells.map((camera) => html`<${Cell} key=${`${camera.id} ${alone}`} camera=${camera} alone=${alone} />`)}
      ${Array.from({ length: empty }, (_, index) => html`<div key=${index} class="cell vacant"></div>`)}
    </div>`;
}
