// The controls of the clock, and clips.
import { signal } from './vendor/signals.js';
import { useEffect, useRef, useState } from './vendor/hooks.js';
import { html } from './html.js';
import { Cross, Film, Forward, Pause, Play, Rewind, StepBack, StepOn } from './icons.js';
import * as clock from './clock.js';
import { clip, download } from './saving.js';
import * as state from './state.js';
import { follow } from './timeline.js';
import * as view from './view.js';
import { bytes, fullMoment, localInput, span, zoneName } from './words.js';

const JUMP_MS = 10_000;
const FRAME_MS = 40;
const MARGIN_MS = 30_000; // of a clip, before and after the clock
const LATE_MS = 5_000; // what is newer may not be written yet
const LONGEST_MS = 3_600_000;

const opened = signal(''); // the panel above the controls: go-to, clip or none
const toggle = (name) => { opened.value = opened.value === name ? '' : name; };
const trouble = signal('');

function Speed() {
  return html`
    <label class="speed"><span class="unseen">Speed</span>
      <select value=${clock.speed.value} disabled=${clock.mode.value === 'live'}
        onChange=${({ target }) => clock.setSpeed(Number(target.value))}>
        ${clock.SPEEDS.map((each) => html`<option key=${each} value=${each} selected=${each === clock.speed.value}>${each}×</option>`)}
      </select>
    </label>`;
}

/** Keeps what was there when a form was opened: the clock goes on. */
const useOnce = (make) => useState(make)[0];

function Panel({ name, title, children, onClose, onSubmit, form }) {
  useEffect(() => { form.current.querySelector('input').focus(); }, []);
  return html`
    <form class=${`panel ${name}`} ref=${form} onSubmit=${onSubmit} aria-label=${title}
      onKeyDown=${(event) => { if (event.key === 'Escape') { event.stopPropagation(); onClose(); } }}>
      <p class="title"><strong>${title}</strong>
        <button type="button" class="quiet" aria-label="Close" onClick=${onClose}><${Cross} /></button></p>
      ${children}
    </form>`;
}

function GoTo() {
  const form = useRef(null);
  const begin = useOnce(() => localInput(clock.now()));
  const close = () => { opened.value = ''; };
  const go = (event) => {
    event.preventDefault();
    const time = new Date(form.current.elements.at.value).getTime();
    if (Number.isNaN(time)) return;
    follow();
    clock.seek(time);
    close();
  };
  return html`
    <${Panel} name="go-to" title="Go to a time" form=${form} onSubmit=${go} onClose=${close}>
      <label>Date and time (${zoneName()})
        <input name="at" type="datetime-local" step="1" max=${localInput(Date.now())} defaultValue=${begin} required />
      </label>
      <button class="primary">Go</button>
    <//>`;
}

function ClipForm({ camera }) {
  const form = useRef(null);
  const [first, last] = useOnce(() => {
    const [at, latest] = [clock.now(), Date.now() - LATE_MS];
    return [Math.min(at, latest) - MARGIN_MS, Math.min(at + MARGIN_MS, latest)].map(localInput);
  });
  async function submit(event) {
    event.preventDefault();
    const { from, to } = form.current.elements;
    const [begin, end] = [new Date(from.value).getTime(), new Date(to.value).getTime()];
    if (Number.isNaN(begin) || Number.isNaN(end)) trouble.value = 'Give a beginning and an end.';
    else if (end <= begin) trouble.value = 'The end must be later than the beginning.';
    else if (end - begin > LONGEST_MS) trouble.value = `A clip is at most an hour long; this one is ${span(end - begin)}.`;
    else {
      trouble.value = '';
      if (await clip(camera, begin, end)) opened.value = '';
    }
  }
  const close = () => {
    trouble.value = '';
    opened.value = '';
  };
  const under = download.value;
  return html`
    <${Panel} name="clip" title=${`Clip of ${camera.name}`} form=${form} onSubmit=${submit} onClose=${close}>
      <label>From<input name="from" type="datetime-local" step="1" defaultValue=${first} required /></label>
      <label>To<input name="to" type="datetime-local" step="1" defaultValue=${last} required /></label>
      <p class="trouble" role="alert">${trouble.value}</p>
      ${under
        ? html`<p class="under" role="status"><span class="spinner" aria-hidden="true"></span>${bytes(under.got)} so far
            <button type="button" onClick=${under.stop}>Stop</button></p>`
        : html`<button class="primary">Download the clip</button>`}
    <//>`;
}

export function Transport() {
  const live = clock.mode.value === 'live';
  const still = !live && clock.paused.value;
  const camera = view.selectedCamera.value;
  if (!state.mayPlay.value) return null;
  return html`
    <div class="transport" role="group" aria-label="Playback">
      <div class="group">
        <button title="10 seconds back" aria-label="10 seconds back" onClick=${() => clock.step(-JUMP_MS)}><${Rewind} /></button>
        ${still && html`
          <button title="One picture back" aria-label="One picture back" onClick=${() => clock.step(-FRAME_MS)}><${StepBack} /></button>`}
        <button class="play" title=${still ? 'Play (space)' : 'Pause (space)'} aria-label=${still ? 'Play' : 'Pause'}
          onClick=${clock.toggle}>${still ? html`<${Play} />` : html`<${Pause} />`}</button>
        ${still && html`
          <button title="One picture on" aria-label="One picture on" onClick=${() => clock.step(FRAME_MS)}><${StepOn} /></button>`}
        <button title="10 seconds on" aria-label="10 seconds on" disabled=${live} onClick=${() => clock.step(JUMP_MS)}><${Forward} /></button>
      </div>
      <${Speed} />
      <button class=${`to-live ${live ? 'on' : ''}`} aria-pressed=${live}
        onClick=${() => {
          follow();
          clock.live();
        }}>Live</button>
      <button class="at" title="Go to another time" aria-expanded=${opened.value === 'go-to'} onClick=${() => toggle('go-to')}>
        <time data-mode=${clock.mode.value} data-time=${Math.round(clock.shown.value)}
          datetime=${new Date(clock.shown.value).toISOString()}>${fullMoment(clock.shown.value)}</time>
        <small>${zoneName()}</small>
      </button>
      <span class="space"></span>
      ${state.mayExport.value && camera && html`
        <button class="export" aria-expanded=${opened.value === 'clip'} onClick=${() => toggle('clip')}><${Film} />Clip</button>`}
      ${opened.value === 'go-to' && html`<${GoTo} />`}
      ${opened.value === 'clip' && camera && html`<${ClipForm} key=${camera.id} camera=${camera} />`}
    </div>`;
}
