// What must be said: short sentences that go by themselves, and what holds until it is over.
import { html } from './html.js';
import { Cross } from './icons.js';
import { newShell } from './shell.js';
import * as sound from './sound.js';
import * as state from './state.js';

export function Banners() {
  return html`
    ${!state.online.value && !state.expired.value && html`
      <p class="banner" role="status">
        <span class="spinner" aria-hidden="true"></span>
        The connection to the server is lost. Trying again. Alarms may be missing until it is back.
      </p>`}
    ${newShell.value && html`
      <p class="banner" role="status">
        A new version of this page is ready.
        <button onClick=${() => location.reload()}>Reload</button>
      </p>`}`;
}

export function Told() {
  const said = [...state.told.value, ...(sound.trouble.value ? [{ id: 'sound', text: sound.trouble.value, kind: 'error' }] : [])];
  return html`
    <div class="told" role="status" aria-live="polite">
      ${said.map(({ id, text, kind }) => html`
        <p key=${id} class=${kind}>${text}
          <button class="quiet" aria-label="Close this message"
            onClick=${() => { state.untell(id); if (id === 'sound') sound.trouble.value = ''; }}><${Cross} /></button>
        </p>`)}
    </div>`;
}
