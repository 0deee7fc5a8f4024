// What the page knows, as signals, and how it follows the site.
import { batch, computed, signal } from './vendor/signals.js';
import * as api from './api.js';
import { follow } from './events.js';

const LOG_LENGTH = 400;
const PAGE_LENGTH = 100;
const FLASH_MS = 2_600;
const TELL_MS = 8_000;
const AGAIN_MS = 3_000;

export const phase = signal('starting'); // starting, signed-out, signed-in
export const notice = signal(''); // why one was signed out, or what went wrong
export const expired = signal(false); // signed in, but the session is over: the view stays
export const me = signal(null);
export const cameras = signal([]);
export const conditions = signal({}); // camera id -> CameraState
export const alarmEvents = signal([]); // newest first
export const olderEvents = signal(true); // whether the log may hold older ones
export const online = signal(true);
export const flashing = signal({}); // camera id -> colour
export const popups = signal([]); // ids of alarm events that draw attention, newest first
export const popsUp = signal(localStorage.getItem('vigil.popups') !== 'no');
export const theme = signal(localStorage.getItem('vigil.theme') || 'auto');
export const told = signal([]); // short sentences: { id, text, kind }

export const cameraNames = computed(() => Object.fromEntries(cameras.value.map(({ id, name }) => [id, name])));
export const instructions = computed(() => // what operators are told to do, by alarm id
  Object.fromEntries((me.value?.alarms ?? []).map(({ id, description }) => [id, description])));
const may = (right) => computed(() => me.value?.profile.rights.includes(right) ?? false);
export const mayAcknowledge = may('acknowledge');
export const mayWatch = may('live');
export const mayPlay = may('playback');
export const mayExport = may('export');
export const unacknowledged = computed(() => alarmEvents.value.filter(needsAttention).length);

/** The alarm that colours a camera's cell: the newest one that goes on there. */
export const alarmOf = computed(() => {
  const found = {};
  for (const event of alarmEvents.value) {
    if (event.state === 'ended') continue;
    for (const camera of new Set([...event.camera_ids, event.source_id])) found[camera] ??= event;
  }
  return found;
});

export function needsAttention(event) {
  return !event.acknowledged;
}

/** The cameras of an alarm event that the user sees, the triggering one first. */
export const camerasOf = (event) =>
  [...new Set([event.source_id, ...event.camera_ids])]
    .map((id) => cameras.value.find((camera) => camera.id === id))
    .filter(Boolean);

let stream = null;
let count = 0;

/** Say something for a while; errors stay a little longer to be read. */
export function tell(text, kind = 'info') {
  const id = (count += 1);
  told.value = [...told.value.slice(-2), { id, text, kind }];
  setTimeout(() => untell(id), kind === 'error' ? TELL_MS * 2 : TELL_MS);
}

export function untell(id) {
  told.value = told.value.filter((each) => each.id !== id);
}

export const tellProblem = (what) => (problem) =>
  tell(`${what}: ${problem.detail || problem.message}${problem.remedy ? ` ${problem.remedy}` : ''}`, 'error');

/** Read what the user is and sees. */
async function readSite() {
  const whole = await api.ask('GET', '/me');
  batch(() => {
    me.value = whole;
    cameras.value = whole.cameras.filter(({ enabled }) => enabled);
  });
}

/** Read the alarm log and how the cameras are. */
async function readLog() {
  const [log, states] = await Promise.all([
    api.ask('GET', `/alarm-events?limit=${PAGE_LENGTH}`),
    api.ask('GET', '/node-states').catch(() => ({ items: [] })), // a profile may not show them
  ]);
  batch(() => {
    alarmEvents.value = log.items;
    olderEvents.value = log.items.length === PAGE_LENGTH;
    states.items.forEach(learn);
  });
}

const readAll = () => Promise.all([readSite(), readLog()]);

/** The next page of the alarm log. */
export async function readOlder() {
  const last = alarmEvents.value.at(-1);
  if (!last || !olderEvents.value) return;
  const { items } = await api.ask('GET', `/alarm-events?limit=${PAGE_LENGTH}&before=${encodeURIComponent(last.id)}`);
  batch(() => {
    alarmEvents.value = [...alarmEvents.value, ...items];
    olderEvents.value = items.length === PAGE_LENGTH;
  });
}

export function learn(state) {
  const known = { ...conditions.value };
  for (const camera of state.cameras ?? []) known[camera.camera_id] = camera;
  conditions.value = known;
}

function change(id, changes) {
  alarmEvents.value = alarmEvents.value.map((event) => (event.id === id ? { ...event, ...changes } : event));
}

const HEARD = {
  AlarmRaised(data, time) {
    const event = {
      id: data.alarm_event_id,
      raised_at: data.at ?? time,
      state: 'active',
      acknowledged: null,
      ended_at: null,
      actions: [],
      ...data,
    };
    if (alarmEvents.value.some(({ id }) => id === event.id)) return;
    batch(() => {
      alarmEvents.value = [event, ...alarmEvents.value].slice(0, LOG_LENGTH);
      if (popsUp.value && camerasOf(event).length) popups.value = [event.id, ...popups.value];
    });
    flash(event);
  },
  AlarmAcknowledged(data) {
    const { user_id, user_name, at } = data;
    change(data.alarm_event_id, { acknowledged: { user_id, user_name, at } });
    dismiss(data.alarm_event_id);
  },
  AlarmPostRecordingStarted(data) {
    change(data.alarm_event_id, { state: 'post_recording' });
  },
  AlarmEnded(data) {
    change(data.alarm_event_id, { state: 'ended', ended_at: data.at });
  },
  ActionPerformed({ alarm_event_id: id, action_id, action_kind: kind, ...run }) {
    const event = alarmEvents.value.find((each) => each.id === id);
    const others = event?.actions.filter((action) => action.id !== action_id) ?? [];
    change(id, { actions: [...others, { ...run, id: action_id, kind }] });
  },
  NodeStateReported: learn,
};

function heard({ kind, time, data }) {
  if (HEARD[kind]) HEARD[kind](data, time);
  else if (/(Configured|Removed)$/.test(kind)) readSite().catch(() => {});
}

/** Draw the eye to the cameras of an alarm. */
export function flash(event) {
  const concerned = [...new Set([...event.camera_ids, event.source_id])];
  flashing.value = { ...flashing.value, ...Object.fromEntries(concerned.map((id) => [id, event.colour])) };
  setTimeout(() => {
    flashing.value = Object.fromEntries(Object.entries(flashing.value).filter(([id]) => !concerned.includes(id)));
  }, FLASH_MS);
}

export const dismiss = (id) => { popups.value = popups.value.filter((each) => each !== id); };

export function choosePopups(on) {
  popsUp.value = on;
  if (!on) popups.value = [];
  localStorage.setItem('vigil.popups', on ? 'yes' : 'no');
}

export async function acknowledge(event) {
  await api.ask('POST', `/alarm-events/${event.id}/acknowledge`);
  dismiss(event.id);
}

function begin() {
  batch(() => {
    phase.value = 'signed-in';
    expired.value = false;
    notice.value = '';
    online.value = true;
  });
  stream?.close();
  stream = follow({
    heard,
    changed: (value) => { online.value = value; },
    over: sessionOver,
    fresh: () => readAll().catch(() => {}),
  });
}

/** The session is over, but what is on screen stays until somebody signs in again. */
function sessionOver() {
  if (phase.value !== 'signed-in') return;
  stream?.close();
  stream = null;
  expired.value = true;
}

function leave() {
  stream?.close();
  stream = null;
  api.forget();
  batch(() => {
    phase.value = 'signed-out';
    expired.value = false;
    me.value = null;
    cameras.value = [];
    alarmEvents.value = [];
    conditions.value = {};
    popups.value = [];
    told.value = [];
    online.value = true;
  });
}

export async function signIn(user, password) {
  await api.signIn(user, password);
  const before = me.value?.user.id;
  await readAll();
  if (before && before !== me.value.user.id) batch(() => { popups.value = []; });
  begin();
}

export async function signOut() {
  await api.signOut().catch(() => {});
  leave();
}

/** Find the data port and take up the session of before a reload; try again while nobody answers. */
export async function start() {
  api.onOver(sessionOver);
  try {
    await api.configure();
    if (api.mayResume()) {
      await readAll();
      begin();
      return;
    }
    notice.value = '';
  } catch (problem) {
    if (problem.status !== 401) {
      notice.value = problem.message;
      if (problem.status === 0 || problem.status >= 500) setTimeout(start, AGAIN_MS);
    }
  }
  phase.value = 'signed-out';
}

export function chooseTheme(name) {
  theme.value = name;
  localStorage.setItem('vigil.theme', name);
}
