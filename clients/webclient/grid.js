// The cells on screen, what is in them, and how cameras come there.
import { useRef, useState } from './vendor/hooks.js';
import { html } from './html.js';
import { Cross, Narrow, Shot, Silent, Sound, Wide } from './icons.js';
import * as clock from './clock.js';
import { Picture, mood } from './picture.js';
import { snapshot } from './saving.js';
import * as sound from './sound.js';
import * as state from './state.js';
import * as view from './view.js';

const CAMERA = 'application/x-vigil-camera';
const CELL = 'application/x-vigil-cell';

/** What a dragged camera carries. */
export function carry(event, cameraId, cell = null) {
  event.dataTransfer.effectAllowed = 'copyMove';
  event.dataTransfer.setData(CAMERA, cameraId);
  if (cell !== null) event.dataTransfer.setData(CELL, String(cell));
}

function dropTarget(number, setOver) {
  const ours = (event) => event.dataTransfer.types.includes(CAMERA);
  return {
    onDragOver: (event) => {
      if (!ours(event)) return;
      event.preventDefault();
      setOver(true);
    },
    onDragLeave: () => setOver(false),
    onDrop: (event) => {
      setOver(false);
      if (!ours(event)) return;
      event.preventDefault();
      const from = event.dataTransfer.getData(CELL);
      if (from) view.swap(Number(from), number);
      else view.put(event.dataTransfer.getData(CAMERA), number);
    },
  };
}

/** Arrow keys go from cell to cell, Delete empties one. */
function onKey(event, number) {
  const columns = columnsOf(view.count.value);
  const to = { ArrowLeft: number - 1, ArrowRight: number + 1, ArrowUp: number - columns, ArrowDown: number + columns }[event.key];
  if (event.key === 'Delete') view.clear(number);
  else if (to === undefined || to < 0 || to >= view.count.value || view.alone.value !== null) return;
  else {
    view.selected.value = to;
    event.currentTarget.closest('.grid').querySelector(`[data-cell="${to}"] .pick`)?.focus();
  }
  event.preventDefault();
}

function Tools({ camera, number, alone, status, video }) {
  const loud = sound.chosen.value === camera.id;
  return html`
    <div class="tools" role="toolbar" aria-label=${camera.name}>
      ${camera.audio && html`
        <button aria-pressed=${loud} title=${loud ? 'Sound off' : 'Sound on'}
          aria-label=${loud ? `Do not listen to ${camera.name}` : `Listen to ${camera.name}`}
          onClick=${() => sound.listen(camera.id)}>${loud ? html`<${Sound} />` : html`<${Silent} />`}</button>`}
      <button title="Snapshot" aria-label=${`Snapshot of ${camera.name}`}
        onClick=${() => snapshot(camera, video.current, status.stream)}><${Shot} /></button>
      ${!view.phone.value && html`
        <button title=${alone ? 'All cameras (Escape)' : 'Alone'}
          aria-label=${alone ? 'Back to all cameras' : `Show ${camera.name} alone`}
          onClick=${() => view.toggleAlone(number)}>${alone ? html`<${Narrow} />` : html`<${Wide} />`}</button>
        <button title="Take out (Delete)" aria-label=${`Take ${camera.name} out of this cell`}
          onClick=${() => view.clear(number)}><${Cross} /></button>`}
    </div>`;
}

function Cell({ camera, number, alone }) {
  const video = useRef(null);
  const [status, setStatus] = useState({ state: 'connecting', detail: '', stream: 'sub' });
  const [over, setOver] = useState(false);
  const condition = state.conditions.value[camera.id];
  const alarm = state.alarmOf.value[camera.id];
  const flash = state.flashing.value[camera.id];
  const live = clock.mode.value === 'live';
  const picked = view.selected.value === number && view.count.value > 1 && !alone;
  const classes = ['cell', alarm && 'alarmed', flash && 'flashing', picked && 'picked', over && 'over'].filter(Boolean).join(' ');
  const report = (said, element) => {
    video.current = element;
    setStatus(said);
  };

  return html`
    <section class=${classes} data-cell=${number} data-camera-id=${camera.id} data-stream=${status.stream}
      data-status=${status.state} style=${{ '--alarm': flash ?? alarm?.colour ?? 'transparent' }}
      aria-label=${camera.name} ...${dropTarget(number, setOver)}>
      <${Picture} camera=${camera} large=${alone} report=${report} />
      <button class="pick" draggable=${!view.phone.value} aria-pressed=${picked}
        aria-label=${`Select ${camera.name}, cell ${number + 1}`}
        onDragStart=${(event) => carry(event, camera.id, number)}
        onClick=${() => { view.selected.value = number; }}
        onDblClick=${() => !view.phone.value && view.toggleAlone(number)}
        onKeyDown=${(event) => onKey(event, number)}></button>
      <div class="caption">
        <span class=${`dot ${mood(status)}`} aria-hidden="true"></span>
        <span class="name">${camera.name}</span>
        ${live && condition?.recording && html`<span class="recording" title="Recording">REC</span>`}
        ${!live && html`<span class="recording" title="Out of the archive">ARCHIVE</span>`}
        ${alarm && html`<span class="tag">${alarm.alarm_name}</span>`}
      </div>
      <${Tools} camera=${camera} number=${number} alone=${alone} status=${status} video=${video} />
    </section>`;
}

function Vacant({ number }) {
  const [over, setOver] = useState(false);
  const picked = view.selected.value === number;
  return html`
    <div class=${`cell vacant ${picked ? 'picked' : ''} ${over ? 'over' : ''}`} data-cell=${number}
      ...${dropTarget(number, setOver)}>
      <button class="pick" aria-pressed=${picked} aria-label=${`Select the empty cell ${number + 1}`}
        onClick=${() => { view.selected.value = number; }} onKeyDown=${(event) => onKey(event, number)}></button>
      ${picked && !view.phone.value && html`<p>Choose a camera from the list, or drag one here.</p>`}
    </div>`;
}

const columnsOf = (count) => (count === 2 ? 2 : Math.ceil(Math.sqrt(count)));

export function Grid() {
  const shown = view.cells.value;
  const alone = view.count.value === 1 || shown.length === 1;
  const columns = columnsOf(shown.length);
  const rows = Math.ceil(shown.length / columns);
  if (!state.cameras.value.length) {
    return html`<div class="grid empty"><p>Your profile shows no camera yet. An administrator can add some.</p></div>`;
  }
  return html`
    <div class="grid" role="region" aria-label="Cameras" data-cells=${view.count.value}
      style=${{ '--columns': columns, '--rows': rows }}>
      ${shown.map(({ number, camera }) => (camera
        ? html`<${Cell} key=${`${number} ${camera.id}`} camera=${camera} number=${number} alone=${alone} />`
        : html`<${Vacant} key=${`${number} empty`} number=${number} />`))}
    </div>`;
}
