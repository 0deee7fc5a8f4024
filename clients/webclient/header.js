// The bar on top: arrangement, layouts, connection, theme, user.
import { html } from './html.js';
import { Auto, Bell, Cells, Mark, Moon, Sun } from './icons.js';
import { LayoutMenu } from './layout_menu.js';
import * as state from './state.js';
import * as view from './view.js';

const THEMES = { auto: ['light', Auto, 'as the system'], light: ['dark', Sun, 'light'], dark: ['auto', Moon, 'dark'] };

function Arrangement() {
  const current = view.alone.value !== null ? 1 : view.count.value;
  return html`
    <div class="group" role="group" aria-label="Arrangement">
      ${view.GRIDS.map((count) => {
        const words = count === 1 ? '1 camera' : `${count} cameras`;
        return html`
          <button key=${count} aria-pressed=${current === count} title=${`${words} (key ${count})`}
            aria-label=${`Show ${words}`} onClick=${() => view.arrange(count)}><${Cells[count]} /></button>`;
      })}
    </div>`;
}

export function ThemeButton({ words = false }) {
  const [next, Icon, meaning] = THEMES[state.theme.value] ?? THEMES.auto;
  return html`
    <button class=${words ? '' : 'quiet'} title=${`Colours: ${meaning}`} aria-label=${`Colours: ${meaning}. Change to ${next}`}
      onClick=${() => state.chooseTheme(next)}><${Icon} />${words && html`<span>Colours: ${meaning}</span>`}</button>`;
}

export function PopupButton({ words = false }) {
  const on = state.popsUp.value;
  const text = on ? 'Alarms open a window' : 'Alarms open no window';
  return html`
    <button class=${`${words ? '' : 'quiet'} ${on ? '' : 'off'}`} aria-pressed=${on} title=${text} aria-label=${text}
      onClick=${() => state.choosePopups(!on)}><${Bell} />${words && html`<span>${text}</span>`}</button>`;
}

export function Connection() {
  return html`
    <span class=${`link ${state.online.value ? 'good' : 'bad'}`} role="status">
      ${state.online.value ? 'Connected' : 'Connection lost'}
    </span>`;
}

export function Header() {
  return html`
    <header class="bar">
      <span class="brand"><${Mark} /><span>Vigil</span></span>
      <${Arrangement} />
      <${LayoutMenu} />
      <span class="space"></span>
      <${Connection} />
      <${PopupButton} />
      <${ThemeButton} />
      <span class="user">${state.me.value?.user.name}</span>
      <button class="quiet" onClick=${state.signOut}>Sign out</button>
    </header>`;
}
