// Whether the page's own files have changed since it was loaded, and the worker that keeps them on a phone.
import { signal } from './vendor/signals.js';

const LOOK_MS = 10 * 60_000;

export const newShell = signal(false);

let loaded = null;

async function look() {
  try {
    const { version } = await (await fetch('/shell.json', { cache: 'no-store' })).json();
    loaded ??= version;
    newShell.value = version !== loaded;
  } catch {
    // Without a network there is nothing to say; the event stream says that.
  }
}

/** Begin to look; on a phone also keep the files for the next start. */
export function follow(phone) {
  look();
  setInterval(look, LOOK_MS);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
  if (phone && 'serviceWorker' in navigator && isSecureContext) {
    navigator.serviceWorker.register('/m/service_worker.js', { scope: '/m/', updateViaCache: 'none' })
      .then(({ active }) => active?.postMessage('refill'))
      .catch(() => {}); // the page works without it
  }
}
