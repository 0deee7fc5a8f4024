// The devices that the profile shows: servers, and the cameras on them.
import { computed, signal } from './vendor/signals.js';
import { html } from './html.js';
import { Camera, Server } from './icons.js';
import { carry } from './grid.js';
import * as state from './state.js';
import * as view from './view.js';

const filter = signal('');
const folded = signal(new Set());

const WORDS = {
  running: 'running', connecting: 'connecting', no_signal: 'no signal', refused: 'refuses', disabled: 'switched off',
};

const servers = computed(() => {
  const wanted = filter.value.trim().toLocaleLowerCase();
  const names = Object.fromEntries((state.me.value?.servers ?? []).map(({ id, name }) => [id, name]));
  const groups = new Map();
  for (const camera of state.cameras.value) {
    if (!camera.name.toLocaleLowerCase().includes(wanted)) continue;
    if (!groups.has(camera.node_id)) groups.set(camera.node_id, []);
    groups.get(camera.node_id).push(camera);
  }
  return [...groups].map(([id, cameras]) => ({ id, name: names[id] ?? id, cameras }));
});

/** How a camera is, as a colour and a word. */
export function conditionOf(camera) {
  const known = state.conditions.value[camera.id];
  if (!known) return ['unknown', 'state not known'];
  const mood = known.condition === 'running' ? 'good' : known.condition === 'connecting' ? 'busy' : 'bad';
  return [mood, `${WORDS[known.condition] ?? known.condition}${known.recording ? ', recording' : ''}`];
}

/** Up and down move through the rows; Home and End go to the ends. */
function onKey(event) {
  const rows = [...event.currentTarget.closest('.tree').querySelectorAll('button.device, button.server')];
  const at = rows.indexOf(event.currentTarget);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (to === undefined) return;
  rows[Math.min(rows.length - 1, Math.max(0, to))].focus();
  event.preventDefault();
}

function Device({ camera, onChoose }) {
  const [mood, words] = conditionOf(camera);
  const alarm = state.alarmOf.value[camera.id];
  const shown = view.shownCameras.value.some(({ id }) => id === camera.id);
  return html`
    <li>
      <button class=${`device ${shown ? 'shown' : ''} ${alarm ? 'glowing' : ''}`} draggable=${!view.phone.value}
        data-device=${camera.id} style=${{ '--alarm': alarm?.colour ?? 'transparent' }}
        aria-label=${`${camera.name}, ${words}${alarm ? `, alarm ${alarm.alarm_name}` : ''}. Show it`}
        onDragStart=${(event) => carry(event, camera.id)} onKeyDown=${onKey}
        onClick=${() => {
          view.place(camera.id);
          onChoose?.();
        }}>
        <span class=${`dot ${mood}`} aria-hidden="true"></span>
        <${Camera} /><span class="name">${camera.name}</span>
        <span class="words">${mood === 'good' ? '' : words}</span>
      </button>
    </li>`;
}

export function Tree({ onChoose }) {
  const fold = (id) => {
    const next = new Set(folded.value);
    if (!next.delete(id)) next.add(id);
    folded.value = next;
  };
  return html`
    <nav class="tree" aria-label="Devices">
      <label class="filter"><span class="unseen">Filter cameras by name</span>
        <input type="search" placeholder="Filter cameras" value=${filter.value}
          onInput=${({ target }) => { filter.value = target.value; }} />
      </label>
      <ul>
        ${servers.value.map(({ id, name, cameras }) => html`
          <li key=${id}>
            <button class="server" aria-expanded=${!folded.value.has(id)} onClick=${() => fold(id)} onKeyDown=${onKey}>
              <${Server} /><span class="name">${name}</span><span class="words">${cameras.length}</span>
            </button>
            ${!folded.value.has(id) && html`
              <ul>${cameras.map((camera) => html`<${Device} key=${camera.id} camera=${camera} onChoose=${onChoose} />`)}</ul>`}
          </li>`)}
      </ul>
      ${!servers.value.length && html`
        <p class="quiet-night">${state.cameras.value.length ? 'No camera has such a name.' : 'Your profile shows no camera yet.'}</p>`}
    </nav>`;
}
