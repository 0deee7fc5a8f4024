// What is arranged on screen: tabs of cells with cameras, which cell is selected, and the layouts kept on SMServer.
import { batch, computed, effect, signal } from './vendor/signals.js';
import { ask } from './api.js';
import { cameras, me } from './state.js';

export const GRIDS = [1, 2, 4, 6, 9];
const MOST_CELLS = 16; // what Spotter saves

const empty = (cells = 4, name = 'Cameras') => ({ name, cells, cameras: [], stream: 'main' });

export const tabs = signal([empty()]);
export const tab = signal(0);
export const selected = signal(0); // cell
export const alone = signal(null); // number of the cell that is shown alone
export const layouts = signal([]);
export const layoutName = signal(''); // the one that was opened or saved last

export const phone = signal(false);
export const perPage = signal(1); // on a phone: 1 or 4
export const page = signal(0); // on a phone

const byId = computed(() => Object.fromEntries(cameras.value.map((camera) => [camera.id, camera])));
const current = computed(() => tabs.value[tab.value] ?? empty());
export const pages = computed(() => Math.max(1, Math.ceil(cameras.value.length / perPage.value)));

/** The cells on screen: { number, camera or null }. */
export const cells = computed(() => {
  if (phone.value) {
    const at = Math.min(page.value, pages.value - 1) * perPage.value;
    return Array.from({ length: perPage.value }, (_, index) =>
      ({ number: index, camera: cameras.value[at + index] ?? null }));
  }
  const { cells: count, cameras: ids } = current.value;
  const all = Array.from({ length: count }, (_, number) => ({ number, camera: byId.value[ids[number]] ?? null }));
  return alone.value !== null && all[alone.value] ? [all[alone.value]] : all;
});
export const count = computed(() => (phone.value ? perPage.value : current.value.cells));
export const shownCameras = computed(() => {
  const seen = new Set();
  return cells.value.map(({ camera }) => camera).filter((camera) => camera && !seen.has(camera.id) && seen.add(camera.id));
});
export const selectedCamera = computed(() => {
  const cell = cells.value.find(({ number }) => number === selected.value);
  return cell?.camera ?? shownCameras.value[0] ?? null;
});

function change(changes) {
  tabs.value = tabs.value.map((each, index) => (index === tab.value ? { ...each, ...changes } : each));
}

function ids() {
  const { cells: many, cameras: found } = current.value;
  return Array.from({ length: many }, (_, index) => found[index] ?? null);
}

/** Divide the screen anew; cells that are there no more lose their cameras. */
export function arrange(many) {
  batch(() => {
    alone.value = null;
    if (phone.value) {
      perPage.value = many;
      page.value = 0;
      return;
    }
    const kept = ids().slice(0, many);
    if (many > current.value.cells) {
      // What a larger grid has room for and nobody has placed yet.
      const free = cameras.value.map(({ id }) => id).filter((id) => !kept.includes(id));
      while (kept.length < many) kept.push(free.shift() ?? null);
    }
    change({ cells: many, cameras: kept });
    selected.value = Math.min(selected.value, many - 1);
  });
}

/** Put a camera into a cell. */
export function put(cameraId, number) {
  const next = ids();
  next[number] = cameraId;
  batch(() => {
    change({ cameras: next });
    selected.value = number;
  });
}

/** Put a camera where it fits: the selected cell when it is free, else a free one, else the selected one. */
export function place(cameraId) {
  if (phone.value) {
    const at = cameras.value.findIndex(({ id }) => id === cameraId);
    if (at >= 0) page.value = Math.floor(at / perPage.value);
    return;
  }
  const now = ids();
  const there = now.indexOf(cameraId);
  if (there >= 0) {
    batch(() => {
      selected.value = there;
      if (alone.value !== null) alone.value = there;
    });
    return;
  }
  if (alone.value !== null) {
    put(cameraId, alone.value);
    return;
  }
  const free = now[selected.value] === null ? selected.value : now.indexOf(null);
  put(cameraId, free >= 0 ? free : selected.value);
}

export function swap(from, to) {
  const next = ids();
  [next[from], next[to]] = [next[to], next[from]];
  batch(() => {
    change({ cameras: next });
    selected.value = to;
  });
}

export const clear = (number) => {
  const next = ids();
  next[number] = null;
  change({ cameras: next });
};

export function toggleAlone(number) {
  batch(() => {
    selected.value = number;
    alone.value = alone.value === null ? number : null;
  });
}

/** Show cameras at once, e.g. those of an alarm; the arrangement is kept where they are in it already. */
export function showCameras(wanted) {
  const known = wanted.filter((id) => byId.value[id]);
  if (!known.length) return;
  if (phone.value || known.length === 1) {
    place(known[0]);
    return;
  }
  if (known.some((id) => !ids().includes(id))) known.forEach(place);
}

export const turn = (by) => { page.value = (page.value + by + pages.value) % pages.value; };

// --- layouts --------------------------------------------------------------------------------------------------------

export async function readLayouts() {
  layouts.value = (await ask('GET', '/me/layouts')).items;
}

function adopt(layout) {
  batch(() => {
    tabs.value = layout.tabs.length ? layout.tabs : [empty()];
    tab.value = 0;
    alone.value = null;
    selected.value = 0;
    layoutName.value = layout.name;
  });
}

export async function openLayout(name) {
  adopt(await ask('GET', `/me/layouts/${encodeURIComponent(name)}`));
}

export async function saveLayout(name) {
  const clean = name.trim();
  const body = {
    name: clean,
    tabs: tabs.value.map((each) => ({
      name: each.name,
      cells: each.cells,
      cameras: Array.from({ length: each.cells }, (_, index) => each.cameras[index] ?? null),
      stream: each.stream,
    })),
  };
  const path = `/me/layouts/${encodeURIComponent(clean)}`;
  await ask('PUT', path, body, layouts.value.some((each) => each.name === clean) ? { 'If-Match': '*' } : {});
  layoutName.value = clean;
  await readLayouts();
}

export async function deleteLayout(name) {
  await ask('DELETE', `/me/layouts/${encodeURIComponent(name)}`);
  if (layoutName.value === name) layoutName.value = '';
  await readLayouts();
}

// --- what a reload keeps --------------------------------------------------------------------------------------------

const key = (user) => `vigil.view.${user}`;
let owner = '';

/** Take up what the user had on this machine, or begin with the first cameras. */
export async function restore() {
  const user = me.value.user.id;
  if (owner === user) return;
  owner = '';
  let kept = null;
  try {
    kept = JSON.parse(localStorage.getItem(key(user)));
  } catch {
    // Somebody else's text: begin anew.
  }
  const sound = Array.isArray(kept?.tabs) && kept.tabs.length > 0
    && kept.tabs.every((each) => Number.isInteger(each.cells) && each.cells >= 1 && each.cells <= MOST_CELLS && Array.isArray(each.cameras));
  batch(() => {
    alone.value = null;
    selected.value = 0;
    page.value = 0;
    if (sound) {
      tabs.value = kept.tabs;
      tab.value = Math.min(kept.tab ?? 0, kept.tabs.length - 1);
      layoutName.value = String(kept.layoutName ?? '');
    } else {
      const all = cameras.value.map(({ id }) => id);
      const many = GRIDS.find((each) => each >= all.length) ?? GRIDS.at(-1);
      const cellsFirst = Math.max(4, many);
      tabs.value = [{ ...empty(all.length === 1 ? 1 : cellsFirst), cameras: all.slice(0, cellsFirst) }];
      tab.value = 0;
      layoutName.value = '';
    }
  });
  owner = user;
}

effect(() => {
  const kept = { tabs: tabs.value, tab: tab.value, layoutName: layoutName.value };
  if (owner) localStorage.setItem(key(owner), JSON.stringify(kept));
});

export function leaveUser() {
  owner = '';
  batch(() => {
    tabs.value = [empty()];
    tab.value = 0;
    alone.value = null;
    layouts.value = [];
    layoutName.value = '';
  });
}
