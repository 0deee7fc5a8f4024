// The same application for a hand: one view at a time, thumbs below, cameras by swiping.
import { signal } from './vendor/signals.js';
import { useEffect, useRef } from './vendor/hooks.js';
import { html } from './html.js';
import { Back, Bell, Camera, Cells, More, Next, Screen } from './icons.js';
import { AlarmList } from './alarm_list.js';
import { AlarmPopup } from './alarm_popup.js';
import { Grid } from './grid.js';
import { Connection, PopupButton, ThemeButton } from './header.js';
import { Banners, Told } from './notices.js';
import { SignInAgain } from './sign_in.js';
import * as state from './state.js';
import { Timeline } from './timeline.js';
import { Transport } from './transport.js';
import { Tree } from './tree.js';
import * as view from './view.js';

const SWIPE_PX = 50;

export const place = signal('watch'); // watch, cameras, alarms, more
const watch = () => { place.value = 'watch'; };

/** Sideways over the pictures goes to the cameras before and after. */
function useSwipe(element) {
  useEffect(() => {
    let start = null;
    const down = (event) => {
      start = event.touches.length === 1 ? { x: event.touches[0].clientX, y: event.touches[0].clientY } : null;
    };
    const up = (event) => {
      if (!start) return;
      const [x, y] = [event.changedTouches[0].clientX - start.x, event.changedTouches[0].clientY - start.y];
      start = null;
      if (Math.abs(x) > SWIPE_PX && Math.abs(x) > 1.5 * Math.abs(y)) view.turn(x < 0 ? 1 : -1);
    };
    const { current } = element;
    current.addEventListener('touchstart', down, { passive: true });
    current.addEventListener('touchend', up, { passive: true });
    return () => {
      current.removeEventListener('touchstart', down);
      current.removeEventListener('touchend', up);
    };
  }, []);
}

function Watch() {
  const pictures = useRef(null);
  useSwipe(pictures);
  const at = Math.min(view.page.value, view.pages.value - 1);
  const names = view.shownCameras.value.map(({ name }) => name).join(', ');
  const many = view.perPage.value;
  return html`
    <div class=${`pictures-of many-${many}`} ref=${pictures}><${Grid} /></div>
    <div class="pager">
      <button aria-label="The camera before" disabled=${view.pages.value < 2} onClick=${() => view.turn(-1)}><${Back} /></button>
      <span class="names" aria-live="polite">${names}<small>${at + 1} of ${view.pages.value}</small></span>
      <button aria-label=${many === 1 ? 'Show 4 cameras' : 'Show 1 camera'} onClick=${() => view.arrange(many === 1 ? 4 : 1)}>
        ${many === 1 ? html`<${Cells[4]} />` : html`<${Cells[1]} />`}</button>
      <button aria-label="The next camera" disabled=${view.pages.value < 2} onClick=${() => view.turn(1)}><${Next} /></button>
    </div>
    <${Transport} />
    <${Timeline} />`;
}

function Settings() {
  return html`
    <section class="more" aria-label="More">
      <h2>${state.me.value?.user.name}</h2>
      <p class="low">${state.me.value?.profile.name}</p>
      <${Connection} />
      <${ThemeButton} words />
      <${PopupButton} words />
      <button onClick=${state.signOut}>Sign out</button>
    </section>`;
}

const PLACES = {
  watch: ['Watch', Screen, Watch],
  cameras: ['Cameras', Camera, () => html`<${Tree} onChoose=${watch} />`],
  alarms: ['Alarms', Bell, () => html`<${AlarmList} onChoose=${watch} />`],
  more: ['More', More, Settings],
};

export function Phone() {
  const [, , View] = PLACES[place.value];
  const count = state.unacknowledged.value;
  return html`
    <div class="phone">
      <${Banners} />
      <main data-place=${place.value}><${View} /></main>
      <${AlarmPopup} />
      <${Told} />
      <nav class="thumbs" aria-label="Views">
        ${Object.entries(PLACES).map(([name, [words, Icon]]) => html`
          <button key=${name} aria-current=${name === place.value ? 'page' : undefined} onClick=${() => { place.value = name; }}>
            <${Icon} /><span>${words}</span>
            ${name === 'alarms' && count > 0 && html`<span class="badge">${count}<span class="unseen"> not acknowledged</span></span>`}
          </button>`)}
      </nav>
      <${SignInAgain} />
    </div>`;
}
