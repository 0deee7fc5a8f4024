// Vigil's web client: sign in, watch, take notice of alarms.
import { render } from './vendor/preact.js';
import { effect } from './vendor/signals.js';
import { html } from './html.js';
import * as state from './state.js';
import { AlarmList } from './alarm_list.js';
import { Header } from './header.js';
import { Grid } from './grid.js';
import { SignIn } from './sign_in.js';

function App() {
  if (state.phase.value === 'starting') return html`<main class="starting" aria-busy="true"></main>`;
  if (state.phase.value === 'signed-out') return html`<${SignIn} />`;
  return html`
    <div class="console">
      <${Header} />
      ${!state.online.value && html`
        <p class="banner" role="status">
          <span class="spinner" aria-hidden="true"></span>
          The connection to the server is lost. Trying again. Alarms may be missing until it is back.
        </p>`}
      <main><${Grid} /><${AlarmList} /></main>
    </div>`;
}

const ARRANGEMENTS = { 1: 1, 4: 4, 9: 9 };

addEventListener('keydown', (event) => {
  if (state.phase.value !== 'signed-in' || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest('input, select, textarea')) return;
  if (event.key === 'Escape') state.single.value = null;
  else if (event.key in ARRANGEMENTS) state.arrange(ARRANGEMENTS[event.key]);
});

effect(() => {
  const { value: theme } = state.theme;
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
});

effect(() => {
  const count = state.unacknowledged.value;
  document.title = count ? `(${count}) Vigil` : 'Vigil';
});

document.getElementById('app').replaceChildren();
render(html`<${App} />`, document.getElementById('app'));
state.start();
