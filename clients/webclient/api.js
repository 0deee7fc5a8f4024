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

/** What the server said no with. `status` 0: nobody answered. */
export class Problem extends Error {
  constructor(status, body = {}) {
    super([body.title, body.detail].filter(Boolean).join(': ') || 'The server does not answer.');
    this.status = status;
    this.remedy = body.remedy ?? '';
    this.retryAfter = 0;
  }
}

/** Learn where the data port is. */
export async function configure() {
  const response = await fetch('config.json', { cache: 'no-store' });
  const { data_port: port } = await response.json();
  dataUrl = `${location.protocol}//${location.hostname}:${port}`;
}

export const socketUrl = (path) => dataUrl.replace(/^http/, 'ws') + path;
export const mayResume = () => sessionStorage.getItem(REFRESH_KEY) !== null;

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

async function send(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(`${dataUrl}/api/v1${path}`, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      credentials: 'omit',
    });
  } catch {
    throw new Problem(0);
  }
  const text = await response.text();
  let answer;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    answer = null;
  }
  if (!response.ok) {
    const problem = new Problem(response.status, answer ?? { title: response.statusText });
    problem.retryAfter = Number(response.headers.get('Retry-After')) || 0;
    throw problem;
  }
  return answer;
}

export const signIn = async (user, password) => keep(await send('POST', '/sign-in', { user, password }));

/** A good access token, renewed first when it is due or was `refused`. All callers share one renewal. */
export async function token(refused = null) {
  if (accessToken && accessToken !== refused && Date.now() < renewAt) return accessToken;
  const refresh = sessionStorage.getItem(REFRESH_KEY);
  if (!refresh) throw new Problem(401, { title: 'Not signed in' });
  renewing ??= send('POST', '/sessions/refresh', { refresh_token: refresh })
    .then(keep)
    .finally(() => { renewing = null; });
  await renewing;
  return accessToken;
}

/** Ask 5008 through the gateway. */
export async function ask(method, path, body) {
  const used = await token();
  const signed = (value) => send(method, path, body, { Authorization: `Bearer ${value}` });
  try {
    return await signed(used);
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    return signed(await token(used));
  }
}

export async function signOut() {
  try {
    await ask('DELETE', '/sessions/current');
  } finally {
    forget();
  }
}
