// Layouts kept on SMServer: open, save, delete. They are Spotter's too.
import { signal } from './vendor/signals.js';
import { useEffect, useRef, useState } from './vendor/hooks.js';
import { html } from './html.js';
import { Cross, Layout } from './icons.js';
import { tell, tellProblem } from './state.js';
import * as view from './view.js';

const opened = signal(false);

function Panel() {
  const panel = useRef(null);
  const [name, setName] = useState(view.layoutName.value);
  const [trouble, setTrouble] = useState('');
  const close = () => { opened.value = false; };

  useEffect(() => {
    view.readLayouts().catch((problem) => setTrouble(problem.detail || problem.message));
    panel.current.querySelector('input').focus();
    const outside = ({ target }) => { if (!target.closest('.layouts')) close(); };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, []);

  async function save(event) {
    event.preventDefault();
    setTrouble('');
    try {
      await view.saveLayout(name);
      tell(`Layout ${view.layoutName.value} is saved.`);
      close();
    } catch (problem) {
      setTrouble([problem.detail || problem.message, problem.remedy].filter(Boolean).join(' '));
    }
  }

  return html`
    <div class="panel" ref=${panel} role="dialog" aria-label="Layouts"
      onKeyDown=${(event) => { if (event.key === 'Escape') { event.stopPropagation(); close(); } }}>
      <p class="title"><strong>Layouts</strong>
        <button class="quiet" aria-label="Close" onClick=${close}><${Cross} /></button></p>
      ${view.layouts.value.length
        ? html`
          <ul>${view.layouts.value.map((each) => html`
            <li key=${each.name}>
              <button class="open" aria-current=${each.name === view.layoutName.value}
                onClick=${() => view.openLayout(each.name).then(close, tellProblem('The layout could not be opened'))}>
                <span class="name">${each.name}</span>
                <span class="words">${each.tabs.map(({ cells }) => cells).join(' + ')} cells</span>
              </button>
              <button class="quiet" aria-label=${`Delete the layout ${each.name}`}
                onClick=${() => view.deleteLayout(each.name).catch(tellProblem('The layout could not be deleted'))}><${Cross} /></button>
            </li>`)}</ul>`
        : html`<p class="low">None is saved yet.</p>`}
      <form onSubmit=${save}>
        <label>Save this arrangement as
          <input value=${name} maxlength="60" required onInput=${({ target }) => setName(target.value)} />
        </label>
        <p class="trouble" role="alert">${trouble}</p>
        <button class="primary">Save</button>
      </form>
    </div>`;
}

export function LayoutMenu() {
  return html`
    <div class="layouts">
      <button class="menu" aria-expanded=${opened.value} title="Layouts" onClick=${() => { opened.value = !opened.value; }}>
        <${Layout} /><span class="name">${view.layoutName.value || 'Layouts'}</span></button>
      ${opened.value && html`<${Panel} />`}
    </div>`;
}

export function Tabs() {
  if (view.tabs.value.length < 2) return null;
  return html`
    <div class="tabs" role="tablist" aria-label="Tabs of the layout">
      ${view.tabs.value.map((each, index) => html`
        <button key=${index} role="tab" aria-selected=${index === view.tab.value}
          onClick=${() => {
            view.alone.value = null;
            view.tab.value = index;
          }}>${each.name}</button>`)}
    </div>`;
}
