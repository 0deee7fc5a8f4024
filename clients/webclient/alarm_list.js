// Alarms as they come, newest first, and those of before.
import { useState } from './vendor/hooks.js';
import { signal } from './vendor/signals.js';
import { html } from './html.js';
import { Play, Tick } from './icons.js';
import * as clock from './clock.js';
import * as state from './state.js';
import { follow } from './timeline.js';
import * as view from './view.js';
import { fullMoment, moment, span } from './words.js';

const STATES = { active: 'Active', post_recording: 'Recording', ended: 'Ended' };
const OUTCOMES = { done: 'done', failed: 'failed', expired: 'came too late', skipped: 'left out' };
const BAD = new Set(['failed', 'expired']);
const LEAD_MS = 5_000; // playback of an alarm begins this long before it
const FILTERS = [['all', 'All'], ['active', 'Active'], ['new', 'New']];

const filter = signal('all');

const kept = {
  all: () => true,
  active: (event) => event.state !== 'ended',
  new: state.needsAttention,
};

/** Show an alarm's cameras from shortly before it on. */
export function replay(event) {
  view.showCameras(state.camerasOf(event).map(({ id }) => id));
  follow();
  clock.seek(Date.parse(event.occurred_at) - LEAD_MS);
}

/** Show an alarm's cameras as they are now. */
export function watch(event) {
  view.showCameras(state.camerasOf(event).map(({ id }) => id));
}

/** Acknowledge, with what to show meanwhile and when it fails. */
export function useAcknowledge(event) {
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState('');
  async function acknowledge() {
    setBusy(true);
    setTrouble('');
    try {
      await state.acknowledge(event);
    } catch (problem) {
      setTrouble(problem.detail || problem.message);
    } finally {
      setBusy(false);
    }
  }
  return { busy, trouble, acknowledge };
}

export const place = (event) => state.cameraNames.value[event.source_id] ?? event.source_id;

function Details({ event }) {
  const [shown, setShown] = useState(false);
  const end = event.ended_at ? Date.parse(event.ended_at) : null;
  return html`
    <details onToggle=${({ target }) => setShown(target.open)}>
      <summary>Details</summary>
      ${shown && html`<dl>
        <dt>Began</dt><dd>${fullMoment(event.occurred_at)}</dd>
        <dt>Ended</dt><dd>${end ? fullMoment(end) : 'not yet'}</dd>
        ${end && html`<dt>Lasted</dt><dd>${span(end - Date.parse(event.occurred_at))}</dd>`}
        <dt>Priority</dt><dd>${event.priority}</dd>
        <dt>Trigger</dt><dd>${event.trigger ? `${event.trigger}, ${place(event)}` : place(event)}</dd>
        <dt>Actions</dt>
        <dd>${event.actions.length
          ? event.actions.map((action) => html`
            <span class=${BAD.has(action.outcome) ? 'trouble' : ''}>
              ${action.kind.replaceAll('_', ' ')}: ${OUTCOMES[action.outcome] ?? action.outcome}
            </span>`)
          : 'none yet'}</dd>
      </dl>`}
    </details>`;
}

function Row({ event, onChoose }) {
  const { busy, trouble, acknowledge } = useAcknowledge(event);
  const { acknowledged } = event;
  const instruction = acknowledged ? '' : state.instructions.value[event.alarm_id];
  const failed = event.actions.filter(({ outcome }) => BAD.has(outcome));
  const seen = state.camerasOf(event).length > 0;

  return html`
    <li class=${`alarm ${event.state} ${acknowledged ? 'seen' : 'new'}`} style=${{ '--alarm': event.colour }}
      data-alarm-event-id=${event.id} data-state=${event.state} data-acknowledged=${Boolean(acknowledged)}
      onMouseEnter=${() => state.flash(event)}>
      <button class="what" disabled=${!seen}
        onClick=${() => {
          watch(event);
          onChoose?.();
        }}
        onFocus=${() => state.flash(event)}
        aria-label=${`${event.alarm_name}, ${place(event)}, ${moment(event.occurred_at)}. Show the cameras`}>
        <span class="line">
          <strong>${event.alarm_name}</strong>
          <time datetime=${event.occurred_at}>${moment(event.occurred_at)}</time>
        </span>
        <span class="line low">
          <span class="place">${place(event)}</span>
          <span class=${`state ${event.state}`}>${STATES[event.state] ?? event.state}</span>
        </span>
      </button>
      ${instruction && html`<p class="instruction">${instruction}</p>`}
      ${failed.map((action) => html`
        <p key=${action.id} class="trouble">
          Action ${action.kind.replaceAll('_', ' ')} ${OUTCOMES[action.outcome]}: ${action.reason}
        </p>`)}
      ${trouble && html`<p class="trouble" role="alert">${trouble}</p>`}
      ${acknowledged && html`<p class="seen-by"><${Tick} />${acknowledged.user_name}, ${moment(acknowledged.at)}</p>`}
      <div class="doing">
        ${!acknowledged && state.mayAcknowledge.value && html`
          <button class="acknowledge" disabled=${busy} onClick=${acknowledge}
            aria-label=${`Acknowledge ${event.alarm_name}, ${moment(event.occurred_at)}`}>Acknowledge</button>`}
        ${state.mayPlay.value && seen && html`
          <button class="replay" aria-label=${`Play ${event.alarm_name}, ${moment(event.occurred_at)}`}
            onClick=${() => {
              replay(event);
              onChoose?.();
            }}><${Play} />Play</button>`}
      </div>
      <${Details} event=${event} />
    </li>`;
}

function Older() {
  const [busy, setBusy] = useState(false);
  if (!state.olderEvents.value) return null;
  const more = async () => {
    setBusy(true);
    await state.readOlder().catch(state.tellProblem('Older alarms could not be read'));
    setBusy(false);
  };
  return html`<li class="older"><button disabled=${busy} onClick=${more}>Show older alarms</button></li>`;
}

export function AlarmList({ onChoose }) {
  const events = state.alarmEvents.value.filter(kept[filter.value]);
  const count = state.unacknowledged.value;
  return html`
    <aside class="alarms" aria-label="Alarms">
      <h2>Alarms ${count > 0 && html`<span class="badge" title="Not yet acknowledged">${count}</span>`}
        <span class="space"></span>
        <span class="group filters" role="group" aria-label="Which alarms">
          ${FILTERS.map(([name, words]) => html`
            <button key=${name} aria-pressed=${filter.value === name} onClick=${() => { filter.value = name; }}>${words}</button>`)}
        </span>
      </h2>
      <ol aria-live="polite" aria-relevant="additions">
        ${events.map((event) => html`<${Row} key=${event.id} event=${event} onChoose=${onChoose} />`)}
        ${!events.length && html`
          <li class="quiet-night">${state.alarmEvents.value.length ? 'No such alarms.' : 'No alarms. All is quiet.'}</li>`}
        <${Older} />
      </ol>
    </aside>`;
}
