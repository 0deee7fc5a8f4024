// What the page knows, as signals, and how it follows the site.
import { batch, computed, signal } from './vendor/signals.js';
import * as api from './api.js';
import { follow } from './events.js';

const LOG_LENGTH = 200;
const FLASH_MS = 2_600;

export const phase = signal('starting'); // starting, signed-out, signed-in
export const notice = signal(''); // why one was signed out, or what went wrong
export const me = signal(null);
export const cameras = signal([]);
export const conditions = signal({}); // camera id -> CameraState
export const alarmEvents = signal([]); // newest first
export const online = signal(true);
export const flashing = signal({}); // camera id -> colour
export const layout = signal(Number(localStorage.getItem('vigil.layout')) || 4);
export const page = signal(0);
export const single = signal(null); // id of the camera shown alone
export const theme = signal(localStorage.getItem('vigil.theme') || 'auto');

export const cameraNames = computed(() => Object.fromEntries(cameras.value.map(({ id, name }) => [id, name])));
export const instructions = computed(() => // what operators are told to do, by alarm id
  Object.fromEntries((me.value?.alarms ?? []).map(({ id, description }) => [id, description])));
export const mayAcknowledge = computed(() => me.value?.profile.rights.includes('acknowledge') ?? false);
export const mayWatch = computed(() => me.value?.profile.rights.includes('live') ?? false);
export const unacknowledged = computed(() => alarmEvents.value.filter(needsAttention).length);
export const pages = computed(() => Math.max(1, Math.ceil(cameras.value.length / layout.value)));
export const shown = computed(() => {
  const all = cameras.value;
  const alone = all.find(({ id }) => id === single.value);
  if (alone) return [alone];
  const at = Math.min(page.value, pages.value - 1) * layout.value;
  return all.slice(at, at + layout.value);
});

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

let stream = null;

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
    api.ask('GET', '/alarm-events?limit=100'),
    api.ask('GET', '/node-states').catch(() => ({ items: [] })), // a profile may not show them
  ]);
  batch(() => {
    alarmEvents.value = log.items;
    states.items.forEach(learn);
  });
}

const readAll = () => Promise.all([readSite(), readLog()]);

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
    alarmEvents.value = [event, ...alarmEvents.value].slice(0, LOG_LENGTH);
    flash(event);
  },
  AlarmAcknowledged(data) {
    const { user_id, user_name, at } = data;
    change(data.alarm_event_id, { acknowledged: { user_id, user_name, at } });
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

/** Show the first of an alarm's cameras that the user sees. */
export function show(event) {
  const camera = [event.source_id, ...event.camera_ids].find((id) => cameraNames.value[id]);
  if (camera) single.value = camera;
}

export async function acknowledge(event) {
  await api.ask('POST', `/alarm-events/${event.id}/acknowledge`);
}

function begin() {
  phase.value = 'signed-in';
  notice.value = '';
  stream = follow({
    heard,
    changed: (value) => { online.value = value; },
    over: () => leave('Your session is over. Please sign in again.'),
    fresh: () => readAll().catch(() => {}),
  });
}

function leave(why) {
  stream?.close();
  stream = null;
  api.forget();
  batch(() => {
    phase.value = 'signed-out';
    notice.value = why;
    me.value = null;
    cameras.value = [];
    alarmEvents.value = [];
    conditions.value = {};
    single.value = null;
    online.value = true;
  });
}

export async function signIn(user, password) {
  await api.signIn(user, password);
  await readAll();
  begin();
}

export async function signOut() {
  await api.signOut().catch(() => {});
  leave('');
}

/** Find the data port and take up the session of before a reload. */
export async function start() {
  try {
    await api.configure();
    if (api.mayResume()) {
      await readAll();
      begin();
      return;
    }
  } catch (problem) {
    if (problem.status !== 401) notice.value = problem.message;
  }
  phase.value = 'signed-out';
}

export function arrange(count) {
  batch(() => {
    single.value = count === 1 ? (shown.value[0]?.id ?? null) : null;
    page.value = 0;
    if (count !== 1) {
      layout.value = count;
      localStorage.setItem('vigil.layout', String(count));
    }
  });
}

export function chooseTheme(name) {
  theme.value = name;
  localStorage.setItem('vigil.theme', name);
}
