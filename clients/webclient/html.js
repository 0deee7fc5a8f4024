// Markup without a build step: html`<p>…</p>` makes Preact elements.
import { h } from './vendor/preact.js';
import htm from './vendor/htm.js';

export const html = htm.bind(h);
