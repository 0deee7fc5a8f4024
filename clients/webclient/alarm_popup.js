// An alarm that has just gone off: its cameras, live, and what to do about it.
import { useState } from './vendor/hooks.js';
import { html } from './html.js';
import { Back, Cross, Next, Play } from './icons.js';
import { place, replay, useAcknowledge, watch } from './alarm_list.js';
import { Picture } from './picture.js';
import * as state from './state.js';
import { moment } from './words.js';

const MOST_PICTURES = 4;

function Card({ event, at, count, turn }) {
  const { busy, trouble, acknowledge } = useAcknowledge(event);
  const cameras = state.camerasOf(event).slice(0, MOST_PICTURES);
  const instruction = state.instructions.value[event.alarm_id];
  const then = (what) => () => {
    what(event);
    state.dismiss(event.id);
  };
  return html`
    <section class="popup" role="dialog" aria-label=${`Alarm: ${event.alarm_name}`} style=${{ '--alarm': event.colour }}
      data-popup=${event.id}
      onKeyDown=${(pressed) => { if (pressed.key === 'Escape') { pressed.stopPropagation(); state.dismiss(event.id); } }}>
      <header class="title">
        <strong role="alert">${event.alarm_name}</strong>
        <span class="space"></span>
        ${count > 1 && html`
          <span class="group">
            <button aria-label="The alarm before" onClick=${() => turn(-1)}><${Back} /></button>
            <span class="count">${at + 1} of ${count}</span>
            <button aria-label="The next alarm" onClick=${() => turn(1)}><${Next} /></button>
          </span>`}
        <button class="quiet" aria-label="Close this alarm's window" onClick=${() => state.dismiss(event.id)}><${Cross} /></button>
      </header>
      <p class="low">${place(event)}, ${moment(event.occurred_at)}${event.state === 'ended' ? ', ended' : ''}</p>
      <div class=${`pictures many-${cameras.length}`}>
        ${cameras.map((camera) => html`
          <figure key=${camera.id}>
            <${Picture} camera=${camera} large=${false} always=${true} />
            <figcaption>${camera.name}</figcaption>
          </figure>`)}
      </div>
      ${instruction && html`<p class="instruction">${instruction}</p>`}
      ${trouble && html`<p class="trouble" role="alert">${trouble}</p>`}
      <div class="doing">
        ${state.mayAcknowledge.value && !event.acknowledged && html`
          <button class="primary" disabled=${busy} onClick=${acknowledge}
            aria-label=${`Acknowledge ${event.alarm_name}, ${moment(event.occurred_at)}, in its window`}>Acknowledge</button>`}
        ${state.mayPlay.value && html`<button onClick=${then(replay)}><${Play} />Play</button>`}
        <button onClick=${then(watch)}>Show in the grid</button>
      </div>
    </section>`;
}

export function AlarmPopup() {
  const [index, setIndex] = useState(0);
  const events = state.popups.value
    .map((id) => state.alarmEvents.value.find((event) => event.id === id))
    .filter(Boolean);
  if (!events.length) return null;
  const at = Math.min(index, events.length - 1);
  const turn = (by) => setIndex((at + by + events.length) % events.length);
  return html`<${Card} key=${events[at].id} event=${events[at]} at=${at} count=${events.length} turn=${turn} />`;
}
