// The event stream: what happens at the site, resumed after each cut from the last event seen.
import { socketUrl, token } from './api.js';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;
const TOKEN_REFUSED = new Set([1008, 4401, 4403]);

/**
 * Follow events until `close()`. `heard(event)` gets each one, `changed(online)` each loss and return of the
 * connection, `over()` the end of the session. `fresh()` is awaited after the greeting of a connection that cannot
 * resume (the first, or one whose events are gone), so that the whole is read without a gap.
 */
export function follow({ heard, changed, over, fresh }) {
  let since = null;
  let socket = null;
  let wait = FIRST_WAIT_MS;
  let timer = 0;
  let closed = false;
  let refused = null;

  async function connect() {
    let used;
    try {
      used = await token(refused);
    } catch (problem) {
      if (problem.status === 401) over();
      else again();
      return;
    }
    if (closed) return;
    socket = new WebSocket(socketUrl('/api/v1/events'));
    socket.onopen = () => socket.send(JSON.stringify({ access_token: used, since }));
    let held = null; // events that came while the whole was being read: they go on top of it
    socket.onmessage = async ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.hello) {
        refused = null;
        wait = FIRST_WAIT_MS;
        changed(true);
        if (since === null || frame.hello.missed) {
          since = frame.hello.last ?? null;
          held = [];
          await fresh();
          const waiting = held;
          held = null;
          waiting.forEach(heard);
        }
      } else if (frame.id !== undefined) {
        since = frame.id;
        if (held) held.push(frame);
        else heard(frame);
      }
    };
    socket.onclose = ({ code }) => {
      if (TOKEN_REFUSED.has(code)) refused = used;
      again();
    };
  }

  function again() {
    if (closed) return;
    changed(false);
    timer = setTimeout(connect, wait * (0.5 + Math.random() / 2));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }

  connect();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      if (socket) {
        socket.onclose = null;
        socket.close();
      }
    },
  };
}
