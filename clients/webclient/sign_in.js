// The way in, and back in when the session is over.
import { useEffect, useRef } from './vendor/hooks.js';
import { signal } from './vendor/signals.js';
import { html } from './html.js';
import { Mark } from './icons.js';
import { expired, me, notice, signIn, signOut } from './state.js';

const busy = signal(false);
const trouble = signal('');

function explain(problem) {
  if (problem.status === 401) return 'User name or password is wrong.';
  if (problem.status === 429) {
    return `Too many tries. Please wait${problem.retryAfter ? ` ${problem.retryAfter} seconds` : ' a little'}.`;
  }
  return [problem.message, problem.remedy].filter(Boolean).join(' ');
}

function Form({ again }) {
  const form = useRef(null);
  useEffect(() => {
    trouble.value = '';
    form.current.querySelector(again ? '[name=password]' : '[name=user]').focus();
  }, []);

  async function submit(event) {
    event.preventDefault();
    if (busy.value) return;
    const { user, password } = form.current.elements;
    busy.value = true;
    trouble.value = '';
    notice.value = '';
    try {
      await signIn(user.value.trim(), password.value);
    } catch (problem) {
      trouble.value = explain(problem);
      if (problem.status === 401) {
        password.value = '';
        password.focus();
      }
    } finally {
      busy.value = false;
    }
  }

  return html`
    <form ref=${form} onSubmit=${submit} aria-labelledby="sign-in-title">
      <${Mark} />
      <h1 id="sign-in-title">${again ? 'Your session is over' : 'Sign in to Vigil'}</h1>
      ${again && html`<p>Sign in again to go on where you are.</p>`}
      <label>User name
        <input name="user" autocomplete="username" autocapitalize="none" spellcheck=${false} required
          defaultValue=${again ? me.value?.user.id : ''} />
      </label>
      <label>Password
        <input name="password" type="password" autocomplete="current-password" required />
      </label>
      <p class="trouble" role="alert">${trouble.value || notice.value}</p>
      <button class="primary" disabled=${busy.value}>${busy.value ? 'Signing in…' : 'Sign in'}</button>
      ${again && html`<button type="button" class="quiet" onClick=${signOut}>Leave</button>`}
    </form>`;
}

export function SignIn() {
  return html`<main class="sign-in"><${Form} again=${false} /></main>`;
}

/** Over the console, which stays as it is. */
export function SignInAgain() {
  if (!expired.value) return null;
  return html`<div class="sign-in over" role="dialog" aria-modal="true" aria-label="Sign in again"><${Form} again=${true} /></div>`;
}
