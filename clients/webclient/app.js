// Vigil's web client: sign in, watch, look back, take notice of alarms.
import { render } from './vendor/preact.js';
import { effect, untracked } from './vendor/signals.js';
import { html } from './html.js';
import * as clock from './clock.js';
import * as recordings from './recordings.js';
import * as shell from './shell.js';
import * as sound from './sound.js';
import * as state from './state.js';
import * as view from './view.js';
import { AlarmList } from './alarm_list.js';
import { AlarmPopup } from './alarm_popup.js';
import { Grid } from './grid.js';
import { Header } from './header.js';
import { Tabs } from './layout_menu.js';
import { Banners, Told } from './notices.js';
import { Phone } from './phone.js';
import { SignIn, SignInAgain } from './sign_in.js';
import { follow, Timeline } from './timeline.js';
import { Transport } from './transport.js';
import { Tree } from './tree.js';

function Console() {
  return html`
    <div class="console">
      <${Header} />
      <${Banners} />
      <div class="columns">
        <${Tree} />
        <main>
          <${Tabs} />
          <${Grid} />
          <${Transport} />
          <${Timeline} />
        </main>
        <${AlarmList} />
      </div>
      <${AlarmPopup} />
      <${Told} />
      <${SignInAgain} />
    </div>`;
}

function App() {
  if (state.phase.value === 'starting') return html`<main class="starting" aria-busy="true"></main>`;
  if (state.phase.value === 'signed-out') return html`<${SignIn} />`;
  return view.phone.value ? html`<${Phone} />` : html`<${Console} />`;
}

addEventListener('keydown', (event) => {
  if (state.phase.value !== 'signed-in' || state.expired.value || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest('input, select, textarea, form, [role=dialog]')) return;
  if (event.key === 'Escape') view.alone.value = null;
  else if (view.GRIDS.includes(Number(event.key))) view.arrange(Number(event.key));
  else if (event.key === ' ' && !event.target.closest('button, summary') && state.mayPlay.value) {
    event.preventDefault();
    clock.toggle();
  } else if (event.key === 'l') {
    follow();
    clock.live();
  }
});

// A small screen gets the phone's views, wherever it came in.
const small = matchMedia('(max-width: 700px)');
const underM = location.pathname.startsWith('/m');
const fit = () => { view.phone.value = underM || small.matches; };
small.addEventListener('change', fit);
fit();

effect(() => {
  const { value: theme } = state.theme;
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
});

effect(() => {
  const count = state.unacknowledged.value;
  document.title = count ? `(${count}) Vigil` : 'Vigil';
});

effect(() => {
  const [phase, user] = [state.phase.value, state.me.value?.user.id];
  untracked(() => {
    if (phase === 'signed-in' && user) view.restore();
    else if (phase === 'signed-out') {
      view.leaveUser();
      recordings.forget();
      clock.live();
      sound.chosen.value = null;
    }
  });
});

document.getElementById('app').replaceChildren();
render(html`<${App} />`, document.getElementById('app'));
state.start();
shell.follow(underM);
