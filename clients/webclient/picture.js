// The moving picture of one camera: live or out of the archive, as the clock says.
import { useEffect, useRef, useState } from './vendor/hooks.js';
import { signal } from './vendor/signals.js';
import { html } from './html.js';
import { NoPicture } from './icons.js';
import * as clock from './clock.js';
import { config } from './api.js';
import { PlaybackPlayer } from './playback_player.js';
import { Player } from './player.js';
import { chosen } from './sound.js';
import * as state from './state.js';
import { moment } from './words.js';

const WIDE_PX = 640; // from this width on, a picture is worth the full stream
const SETTLE_MS = 400;
const AWAY_MS = 60_000;

const CONDITIONS = {
  connecting: 'Connecting to the camera',
  no_signal: 'No signal',
  refused: 'The camera refuses',
  disabled: 'Switched off',
};
const HEADLINES = {
  connecting: 'Connecting',
  loading: 'Looking for the footage',
  still: 'The picture stands still',
  gap: 'No recording at this time',
  forbidden: 'Your profile does not allow this',
};
const GOOD = new Set(['live', 'playing']);
const BUSY = new Set(['connecting', 'loading']);

/** How a picture is: good, busy or bad. */
export const mood = ({ state: name }) => (GOOD.has(name) ? 'good' : BUSY.has(name) ? 'busy' : 'bad');

function explain(status, condition, live) {
  if (live && condition && condition.condition !== 'running') {
    return [CONDITIONS[condition.condition] ?? condition.condition, condition.problem];
  }
  const detail = status.state === 'gap' && status.next ? `It goes on at ${moment(status.next)}.` : status.detail;
  return [HEADLINES[status.state] ?? 'No picture', detail];
}

/** Whether the element is wide, once it has settled. */
function useWide(element) {
  const [wide, setWide] = useState(false);
  useEffect(() => {
    let timer = 0;
    const watch = new ResizeObserver(([{ contentRect }]) => {
      clearTimeout(timer);
      timer = setTimeout(() => setWide(contentRect.width >= WIDE_PX), SETTLE_MS);
    });
    watch.observe(element.current);
    return () => {
      clearTimeout(timer);
      watch.disconnect();
    };
  }, []);
  return wide;
}

/** Which stream a live picture asks for. */
function streamFor(camera, large) {
  const kind = config.video_stream_type;
  if (kind === 'Rec' || !camera.sub_url) return 'main';
  return kind === 'Live' && large ? 'main' : 'sub';
}

/** Whether nobody has looked at the page for a while: pictures wait then, alarms do not. */
const away = signal(false);
let leaving = 0;
document.addEventListener('visibilitychange', () => {
  clearTimeout(leaving);
  if (document.hidden) leaving = setTimeout(() => { away.value = true; }, AWAY_MS);
  else away.value = false;
});

/** `large`: shown alone. `report(status, video)` hears how it goes. `always`: live whatever the clock says. */
export function Picture({ camera, large, report, always = false }) {
  const video = useRef(null);
  const wide = useWide(video);
  const live = always || clock.mode.value === 'live';
  const allowed = live ? state.mayWatch.value : state.mayPlay.value;
  const stream = live ? streamFor(camera, large || wide) : 'main';
  const [status, setStatus] = useState({ state: live ? 'connecting' : 'loading', detail: '', stream });

  useEffect(() => {
    if (!allowed) {
      setStatus({ state: 'forbidden', detail: live ? 'It shows no live pictures.' : 'It shows no footage.', stream });
      return undefined;
    }
    if (away.value) return undefined;
    const said = (name, detail, given = stream) => {
      const next = player?.member?.next ?? null;
      setStatus((before) => (
        before.state === name && before.detail === detail && before.stream === given && before.next === next
          ? before
          : { state: name, detail, stream: given, next }));
    };
    let player = null;
    player = live
      ? new Player(video.current, camera.id, stream, said)
      : new PlaybackPlayer(video.current, camera, said);
    return () => player.close();
  }, [camera.id, camera.node_id, stream, live, allowed, away.value]);

  useEffect(() => { report?.(status, video.current); }, [status]);
  const loud = !live && chosen.value === camera.id;
  useEffect(() => { video.current.muted = !loud; }, [loud]);

  const good = GOOD.has(status.state);
  const [headline, detail] = good ? [] : explain(status, state.conditions.value[camera.id], live);
  return html`
    <div class=${`picture ${good ? '' : status.state === 'still' || status.state === 'loading' ? 'dim' : 'dark'}`}
      data-status=${status.state} data-stream=${status.stream}>
      <video ref=${video} muted playsinline disablepictureinpicture
        aria-label=${`${live ? 'Live picture' : 'Footage'} of ${camera.name}`}></video>
      ${!good && html`
        <div class="cover" role="status">
          ${BUSY.has(status.state) ? html`<span class="spinner" aria-hidden="true"></span>` : html`<${NoPicture} />`}
          <strong>${headline}</strong>
          ${detail && html`<span>${detail}</span>`}
        </div>`}
    </div>`;
}
