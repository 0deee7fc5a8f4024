// Pictures drawn in the text's colour.
import { html } from './html.js';

const icon = (paths) => () => html`
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">${paths()}</svg>`;

const squares = (count) => {
  const gap = 1.5;
  const side = (14 - gap * (count - 1)) / count;
  const places = Array.from({ length: count * count }, (_, index) => [index % count, Math.floor(index / count)]);
  return places.map(([x, y]) => html`
    <rect x=${1 + x * (side + gap)} y=${1 + y * (side + gap)} width=${side} height=${side} rx="1" />`);
};

export const Cells = { 1: icon(() => squares(1)), 4: icon(() => squares(2)), 9: icon(() => squares(3)) };
export const Back = icon(() => html`<path d="M10 3 5 8l5 5" fill="none" stroke="currentColor" stroke-width="1.6" />`);
export const Next = icon(() => html`<path d="m6 3 5 5-5 5" fill="none" stroke="currentColor" stroke-width="1.6" />`);
export const Tick = icon(() => html`<path d="m3 8.5 3.5 3.500L13 4.5" fill="none" stroke="currentColor" stroke-width="1.8" />`);
export const Sun = icon(() => html`
  <circle cx="8" cy="8" r="3" />
  <path d="M8 1v2m0 10v2M1 8h2m10 0h2M3 3l1.5 1.500m7 7L13 13m0-10-1.5 1.500m-7 7L3 13" stroke="currentColor"
    stroke-width="1.4" fill="none" />`);
export const Moon = icon(() => html`<path d="M13.5 10A6 6 0 0 1 6 2.5 6 6 0 1 0 13.5 10Z" />`);
export const Auto = icon(() => html`
  <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.4" /><path d="M8 2a6 6 0 0 1 0 12Z" />`);
export const NoPicture = () => html`
  <svg class="no-picture" viewBox="0 0 48 48" aria-hidden="true" focusable="false">
    <path d="M6 14h24v20H6zM30 21l12-6v18l-12-6zM6 6l36 36" fill="none" stroke="currentColor" stroke-width="2.5"
      stroke-linejoin="round" stroke-linecap="round" />
  </svg>`;
export const Mark = () => html`
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <path d="M3.5 16S8 8 16 8s12.5 8 12.5 8-4.5 8-12.5 8S3.5 16 3.5 16Z" fill="none" stroke="currentColor"
      stroke-width="2.2" />
    <circle cx="16" cy="16" r="4.2" fill="currentColor" />
  </svg>`;
