// Alarms as they come, newest first.
import { useState } from './vendor/hooks.js';
import { html } from './html.js';
import { Tick } from './icons.js';
import * as state from './state.js';

const STATES = { active: 'Active', post_recording: 'Recording', ended: 'Ended' };
const OUTCOMES = { failed: 'failed', expired: 'came too late' };

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short' });

function moment(text) {
  const at = new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  return today ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
}

function Row({ event }) {
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState('');
  const { acknowledged } = event;
  const place = state.cameraNames.value[event.source_id] ?? event.source_id;
  const instruction = acknowledged ? '' : state.instructions.value[event.alarm_id];
  const failed = event.actions.filter(({ outcome }) => outcome in OUTCOMES);

  async function acknowledge() {
    setBusy(true);
    setTrouble('');
    try {
      await state.acknowledge(event);
    } catch (problem) {
      setTrouble(problem.message);
    } finally {
      setBusy(false);
    }
  }

  return html`
    <li class=${`alarm ${event.state} ${acknowledged ? 'seen' : 'new'}`} style=${{ '--alarm': event.colour }}
      data-alarm-event-id=${event.id} data-state=${event.state} data-acknowledged=${Boolean(acknowledged)}
      onMouseEnter=${() => state.flash(event)}>
      <button class="what" onClick=${() => state.show(event)} onFocus=${() => state.flash(event)}
        aria-label=${`${event.alarm_name}, ${place}, ${moment(event.occurred_at)}. Show the camera`}>
        <span class="line">
          <strong>${event.alarm_name}</strong>
          <time datetime=${event.occurred_at}>${moment(event.occurred_at)}</time>
        </span>
        <span class="line low">
          <span class="place">${place}</span>
          <span class=${`state ${event.state}`}>${STATES[event.state] ?? event.state}</span>
        </span>
      </button>
      ${instruction && html`<p class="instruction">${instruction}</p>`}
      ${failed.map((action) => html`
        <p key=${action.id} class="trouble">
          Action ${action.kind.replaceAll('_', ' ')} ${OUTCOMES[action.outcome]}: ${action.reason}
        </p>`)}
      ${trouble && html`<p class="trouble" role="alert">${trouble}</p>`}
      ${acknowledged
        ? html`<p class="seen-by"><${Tick} />${acknowledged.user_name}, ${moment(acknowledged.at)}</p>`
        : state.mayAcknowledge.value && html`
          <button class="acknowledge" disabled=${busy} onClick=${acknowledge}
            aria-label=${`Acknowledge ${event.alarm_name}, ${moment(event.occurred_at)}`}>Acknowledge</button>`}
    </li>`;
}

export function AlarmList() {
  const events = state.alarmEvents.value;
  const count = state.unacknowledged.value;
  return html`
    <aside aria-label="Alarms">
      <h2>Alarms ${count > 0 && html`<span class="badge" title="Not yet acknowledged">${count}</span>`}</h2>
      ${events.length
        ? html`
          <ol aria-live="polite" aria-relevant="additions">
            ${events.map((event) => html`<${Row} key=${event.id} event=${event} />`)}
          </ol>`
        : html`<p class="quiet-night">No alarms. All is quiet.</p>`}
    </aside>`;
}
