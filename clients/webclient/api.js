// Talks to the gateway's data port as the signed-in user, and keeps the session's tokens fresh.
//
// The access token lives in memory only. The refresh token also lies in sessionStorage, so that reloading the page
// keeps the session: it belongs to this tab and ends with it, SMServer replaces it at each use, and the
// Content-Security-Policy lets no foreign or inline script near it.

const REFRESH_KEY = 'vigil.refresh';
const MARGIN_MS = 20_000;

let dataUrl = '';
let accessToken = '';
let renewAt = 0;
let renewing = null;
let whenOver = () => {};

/** How the gateway is set: `video_stream_type`. */
export let config = { video_stream_type: 'Live' };

/** What the server said no with. `status` 0: nobody answered. */
export class Problem extends Error {
  constructor(status, body = {}) {
    super([body.title, body.detail].filter(Boolean).join(': ') || 'The server does not answer. Check the network.');
    this.status = status;
    this.detail = body.detail ?? '';
    this.remedy = body.remedy ?? '';
    this.retryAfter = 0;
  }
}

/** Learn where the data port is. */
export async function configure() {
  let answer;
  try {
    answer = await fetch('/config.json', { cache: 'no-store' });
  } catch {
    throw new Problem(0, { title: 'The gateway does not answer', detail: 'check the network; this page tries again.' });
  }
  config = await answer.json();
  dataUrl = `${location.protocol}//${location.hostname}:${config.data_port}`;
}

export const socketUrl = (path) => dataUrl.replace(/^http/, 'ws') + path;
export const mayResume = () => sessionStorage.getItem(REFRESH_KEY) !== null;

/** `callback` is called when the session is found to be over. */
export function onOver(callback) {
  whenOver = callback;
}

function keep(tokens) {
  accessToken = tokens.access_token;
  renewAt = Date.now() + tokens.expires_in * 1000 - Math.min(MARGIN_MS, tokens.expires_in * 500);
  sessionStorage.setItem(REFRESH_KEY, tokens.refresh_token);
  return tokens;
}

export function forget() {
  accessToken = '';
  renewAt = 0;
  sessionStorage.removeItem(REFRESH_KEY);
}

async function problemOf(response) {
  let body;
  try {
    body = await response.json();
  } catch {
    body = { title: response.statusText || `The server answers ${response.status}` };
  }
  const problem = new Problem(response.status, body);
  problem.retryAfter = Number(response.headers.get('Retry-After')) || 0;
  return problem;
}

async function send(method, path, { body, headers = {}, signal } = {}) {
  let response;
  try {
    response = await fetch(dataUrl + path, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      credentials: 'omit',
      signal,
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function read(response) {
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

export const signIn = async (user, password) =>
  keep(await read(await send('POST', '/api/v1/sign-in', { body: { user, password } })));

async function renew() {
  const refresh = sessionStorage.getItem(REFRESH_KEY);
  if (!refresh) throw new Problem(401, { title: 'Your session is over', detail: 'sign in again.' });
  try {
    return keep(await read(await send('POST', '/api/v1/sessions/refresh', { body: { refresh_token: refresh } })));
  } catch (problem) {
    if (problem.status === 401) {
      forget();
      whenOver();
    }
    throw problem;
  }
}

/** A good access token, renewed first when it is due or was `refused`. All callers share one renewal. */
export async function token(refused = null) {
  if (accessToken && accessToken !== refused && Date.now() < renewAt) return accessToken;
  renewing ??= renew().finally(() => { renewing = null; });
  await renewing;
  return accessToken;
}

/** Ask for a whole response, signed; `path` is from the data port's root on. */
export async function open(method, path, options = {}) {
  const used = await token();
  const signed = (value) =>
    send(method, path, { ...options, headers: { ...options.headers, Authorization: `Bearer ${value}` } });
  try {
    return await signed(used);
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    return signed(await token(used));
  }
}

/** Ask 5008 through the gateway. */
export const ask = async (method, path, body, headers = {}) =>
  read(await open(method, `/api/v1${path}`, { body, headers }));

/** Where a camera's node answers about it. */
export const cameraPath = (camera, what, query = {}) =>
  `/nodes/${encodeURIComponent(camera.node_id)}/api/v1/cameras/${encodeURIComponent(camera.id)}/${what}`
  + `?${new URLSearchParams(query)}`;

export async function signOut() {
  try {
    await ask('DELETE', '/sessions/current');
  } finally {
    forget();
  }
}
