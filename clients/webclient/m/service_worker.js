// Keeps the page's own files, so that a phone starts it without a network. Nothing else is kept: what is asked of the
// data port goes by, and so do /config.json and /shell.json. The network's answer always goes first.
const PREFIX = 'vigil-shell-';
const PATIENCE_MS = 4_000;

let filling = null;

/** Bring the kept files up to date, all or none. */
async function refill() {
  const answer = await fetch('/shell.json', { cache: 'no-store' });
  const { version, files } = await answer.json();
  const name = PREFIX + version;
  if (!(await caches.has(name))) {
    const cache = await caches.open(name);
    try {
      await cache.addAll(files.map((path) => new Request(path, { cache: 'reload' })));
    } catch (error) {
      await caches.delete(name);
      throw error;
    }
  }
  const old = (await caches.keys()).filter((each) => each.startsWith(PREFIX) && each !== name);
  await Promise.all(old.map((each) => caches.delete(each)));
}

const refillOnce = () => (filling ??= refill().finally(() => { filling = null; }));

async function kept(request, path) {
  const found = await caches.match(path, { ignoreSearch: true });
  return found ?? Response.error();
}

async function freshOrKept(request, path) {
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    return answer.ok || answer.type === 'opaqueredirect' || answer.status === 304 ? answer : (await kept(request, path));
  } catch {
    return kept(request, path);
  }
}

self.addEventListener('install', (event) => {
  event.waitUntil(refillOnce().then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(self.clients.claim());
});

self.addEventListener('message', ({ data }) => {
  if (data === 'refill') refillOnce().catch(() => {});
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== 'GET' || address.origin !== location.origin) return;
  if (address.pathname === '/config.json' || address.pathname === '/shell.json') return;
  const path = request.mode === 'navigate' ? '/m/index.html' : address.pathname;
  event.respondWith(freshOrKept(request, path));
});
