// The bar on top: arrangement, pages, connection, theme, user.
import { html } from './html.js';
import { Auto, Back, Cells, Mark, Moon, Next, Sun } from './icons.js';
import * as state from './state.js';

const THEMES = { auto: ['light', Auto, 'as the system'], light: ['dark', Sun, 'light'], dark: ['auto', Moon, 'dark'] };

function Arrangement() {
  const current = state.single.value ? 1 : state.layout.value;
  return html`
    <div class="group" role="group" aria-label="Arrangement">
      ${[[1, '1 camera'], [4, '4 cameras'], [9, '9 cameras']].map(([count, words]) => html`
        <button key=${count} aria-pressed=${current === count} title=${`${words} (key ${count})`}
          aria-label=${`Show ${words}`} onClick=${() => state.arrange(count)}>
          <${Cells[count]} />
        </button>`)}
    </div>`;
}

function Pages() {
  if (state.single.value || state.pages.value < 2) return null;
  const at = Math.min(state.page.value, state.pages.value - 1);
  const turn = (by) => { state.page.value = (at + by + state.pages.value) % state.pages.value; };
  return html`
    <div class="group" role="group" aria-label="Pages">
      <button aria-label="Previous page" onClick=${() => turn(-1)}><${Back} /></button>
      <span class="count">${at + 1} of ${state.pages.value}</span>
      <button aria-label="Next page" onClick=${() => turn(1)}><${Next} /></button>
    </div>`;
}

export function Header() {
  const [next, Icon, meaning] = THEMES[state.theme.value] ?? THEMES.auto;
  return html`
    <header>
      <span class="brand"><${Mark} />Vigil</span>
      <${Arrangement} />
      <${Pages} />
      <span class="space"></span>
      <span class=${`link ${state.online.value ? 'good' : 'bad'}`} role="status">
        ${state.online.value ? 'Connected' : 'Connection lost'}
      </span>
      <button class="quiet" title=${`Colours: ${meaning}`} aria-label=${`Colours: ${meaning}. Change to ${next}`}
        onClick=${() => state.chooseTheme(next)}><${Icon} /></button>
      <span class="user">${state.me.value?.user.name}</span>
      <button class="quiet" onClick=${state.signOut}>Sign out</button>
    </header>`;
}
