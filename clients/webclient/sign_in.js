// The way in.
import { useRef } from './vendor/hooks.js';
import { signal } from './vendor/signals.js';
import { html } from './html.js';
import { Mark } from './icons.js';
import { notice, signIn } from './state.js';

const busy = signal(false);
const trouble = signal('');

function explain(problem) {
  if (problem.status === 401) return 'User name or password is wrong.';
  if (problem.status === 429) {
    return `Too many tries. Please wait${problem.retryAfter ? ` ${problem.retryAfter} seconds` : ' a little'}.`;
  }
  return problem.message;
}

export function SignIn() {
  const form = useRef(null);

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
      password.value = '';
      password.focus();
    } finally {
      busy.value = false;
    }
  }

  const said = trouble.value || notice.value;
  return html`
    <main class="sign-in">
      <form ref=${form} onSubmit=${submit} aria-labelledby="sign-in-title">
        <${Mark} />
        <h1 id="sign-in-title">Sign in to Vigil</h1>
        <label>User name
          <input name="user" autocomplete="username" autocapitalize="none" spellcheck=${false} required autofocus />
        </label>
        <label>Password
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <p class="trouble" role="alert">${said}</p>
        <button class="primary" disabled=${busy.value}>${busy.value ? 'Signing in…' : 'Sign in'}</button>
      </form>
    </main>`;
}
