// How moments, lengths and files are called.
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short' });
const whole = new Intl.DateTimeFormat(undefined, {
  weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit',
  second: '2-digit', hour12: false,
});
const zone = new Intl.DateTimeFormat(undefined, { timeZoneName: 'short' });

/** A moment as briefly as it is clear: without the day when it is today's. */
export function moment(time) {
  const at = new Date(time);
  const today = at.toDateString() === new Date().toDateString();
  return today ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
}

export const fullMoment = (time) => whole.format(new Date(time));
export const timeOfDay = (time) => clock.format(new Date(time));
export const dayOf = (time) => day.format(new Date(time));
export const zoneName = () => zone.formatToParts(new Date()).find(({ type }) => type === 'timeZoneName')?.value ?? '';

/** 75000 → "1 min 15 s". */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return [hours && `${hours} h`, minutes && `${minutes} min`, (rest || seconds === 0) && `${rest} s`].filter(Boolean).join(' ');
}

export const bytes = (count) => (count < 1e6 ? `${Math.round(count / 1e3)} kB` : `${(count / 1e6).toFixed(1)} MB`);

const two = (number) => String(number).padStart(2, '0');

/** The value of a datetime-local input, in local time. */
export function localInput(time) {
  const at = new Date(time);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** "Main gate", a moment and "jpg" → Main-gate-20261124-150903.jpg */
export function fileName(name, time, ending) {
  const clean = name.normalize('NFC').replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '') || 'camera';
  return `${clean}-${localInput(time).replace(/[-:]/g, '').replace('T', '-')}.${ending}`;
}
