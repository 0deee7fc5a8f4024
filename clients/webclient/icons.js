// Pictures drawn in the text's colour.
import { html } from './html.js';

const icon = (paths) => () => html`
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">${paths()}</svg>`;
const line = (d, width = 1.6) => html`
  <path d=${d} fill="none" stroke="currentColor" stroke-width=${width} stroke-linecap="round" stroke-linejoin="round" />`;

const squares = (columns, rows) => {
  const gap = 1.5;
  const [wide, high] = [(14 - gap * (columns - 1)) / columns, (14 - gap * (rows - 1)) / rows];
  const places = Array.from({ length: columns * rows }, (_, index) => [index % columns, Math.floor(index / columns)]);
  return places.map(([x, y]) => html`
    <rect x=${1 + x * (wide + gap)} y=${1 + y * (high + gap)} width=${wide} height=${high} rx="1" />`);
};

export const Cells = {
  1: icon(() => squares(1, 1)),
  2: icon(() => squares(2, 1)),
  4: icon(() => squares(2, 2)),
  6: icon(() => squares(3, 2)),
  9: icon(() => squares(3, 3)),
};
export const Back = icon(() => line('M10 3 5 8l5 5'));
export const Next = icon(() => line('m6 3 5 5-5 5'));
export const Tick = icon(() => line('m3 8.5 3.5 3.5L13 4.5', 1.8));
export const Cross = icon(() => line('m4 4 8 8m0-8-8 8'));
export const Sun = icon(() => html`
  <circle cx="8" cy="8" r="3" />
  ${line('M8 1v2m0 10v2M1 8h2m10 0h2M3 3l1.5 1.5m7 7L13 13m0-10-1.5 1.5m-7 7L3 13', 1.4)}`);
export const Moon = icon(() => html`<path d="M13.5 10A6 6 0 0 1 6 2.5 6 6 0 1 0 13.5 10Z" />`);
export const Auto = icon(() => html`
  <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.4" /><path d="M8 2a6 6 0 0 1 0 12Z" />`);
export const Play = icon(() => html`<path d="M4 2.5v11l9-5.5Z" />`);
export const Pause = icon(() => html`<path d="M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z" />`);
export const Rewind = icon(() => html`${line('M8 3 3.5 8 8 13M13 3 8.5 8l4.5 5')}`);
export const Forward = icon(() => html`${line('m3 3 4.5 5L3 13M8 3l4.5 5L8 13')}`);
export const StepBack = icon(() => html`${line('M4 3v10')}<path d="M13 3v10L6 8Z" />`);
export const StepOn = icon(() => html`${line('M12 3v10')}<path d="M3 3v10l7-5Z" />`);
export const Shot = icon(() => html`
  ${line('M2 5.5h2.5L6 3.5h4l1.5 2H14v7.5H2Z', 1.4)}<circle cx="8" cy="9" r="2.4" fill="none" stroke="currentColor" stroke-width="1.4" />`);
export const Film = icon(() => html`${line('M2 3.5h12v9H2Zm3 0v9m6-9v9M2 6.5h3m6 0h3M2 9.5h3m6 0h3', 1.2)}`);
export const Sound = icon(() => html`
  <path d="M2 6h2.5L8 3v10L4.5 10H2Z" />${line('M10.5 5.5a3.5 3.5 0 0 1 0 5M12.5 3.5a6.3 6.3 0 0 1 0 9', 1.3)}`);
export const Silent = icon(() => html`<path d="M2 6h2.5L8 3v10L4.5 10H2Z" />${line('m10.5 6 4 4m0-4-4 4', 1.3)}`);
export const Wide = icon(() => line('M6 2H2v4m8-4h4v4M6 14H2v-4m8 4h4v-4'));
export const Narrow = icon(() => line('M2 6h4V2m8 4h-4V2M2 10h4v4m8-4h-4v4'));
export const Plus = icon(() => line('M8 3v10M3 8h10'));
export const Minus = icon(() => line('M3 8h10'));
export const Camera = icon(() => line('M2 4.5h8v7H2Zm8 2.5 4-2v6l-4-2', 1.4));
export const Server = icon(() => html`${line('M2.5 3h11v4h-11Zm0 6h11v4h-11Z', 1.3)}<path d="M4.5 4.5h1v1h-1zm0 6h1v1h-1z" />`);
export const Bell = icon(() => line('M3.5 11.5h9L11.5 10V7a3.5 3.5 0 0 0-7 0v3Zm3 2h3', 1.4));
export const More = icon(() => html`<path d="M2 7h2v2H2zm5 0h2v2H7zm5 0h2v2h-2z" />`);
export const Screen = icon(() => line('M2 3h12v8H2Zm4 11h4', 1.4));
export const Layout = icon(() => line('M2 3h12v10H2Zm7 0v10M9 8h5', 1.4));
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
