// Footage of one camera out of the archive, in step with the clock.
//
// The node sends its files' bytes. The player's time is the wall clock's, in seconds since 1970: each answer says
// which moment its fragments call 0, and the source buffer is told so.
import { cameraPath, open } from './api.js';
import * as clock from './clock.js';
import { nextStart } from './recordings.js';
import { attach, plays } from './source.js';

const TICK_MS = 100;
const FIRST_S = 2; // of footage, asked for after a jump: the first picture is what counts
const MORE_S = 8;
const AHEAD_S = 6; // times the speed
const KEEP_S = 20; // of what has been played
const FAR_S = 0.4; // beyond it, the picture jumps to the clock; below, it hurries or dawdles
const AGAIN_MS = 1_500;
const MISSING_S = 0.5;
const STUCK_MS = 600;
const MAX_RATE = 16;
const MAX_RANGES = 4; // that jumps leave behind

export class PlaybackPlayer {
  /** `status(state, detail)` with state loading, playing, gap, waiting. */
  constructor(video, camera, status) {
    this.video = video;
    this.camera = camera;
    this.said = status;
    this.seen = -1;
    this.jumpedAt = 0;
    this.loaded = 0; // where the next answer begins, in s
    this.member = { state: 'loading', since: performance.now(), next: null };
    this.leave = clock.join(this.member);
    this.become('loading', '');
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    this.unsubscribe = clock.seeks.subscribe(() => queueMicrotask(() => this.tick()));
  }

  close() {
    this.closed = true;
    clearInterval(this.ticker);
    this.unsubscribe();
    this.stop();
    this.release();
    this.leave();
  }

  become(state, detail, next = null) {
    if (this.member.state !== state) this.member.since = performance.now();
    Object.assign(this.member, { state, next });
    this.said(state, detail);
    clock.changed();
  }

  stop() {
    this.asking?.abort();
    this.asking = null;
    clearTimeout(this.timer);
    this.timer = 0;
  }

  release() {
    this.buffer = null;
    this.source = null;
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
    this.video.removeAttribute('src');
    this.video.load();
  }

  /** The end of the buffered stretch that holds a time; 0 when none does. */
  end(time) {
    const ranges = this.buffer?.buffered;
    for (let index = 0; index < (ranges?.length ?? 0); index += 1) {
      if (ranges.start(index) <= time + 0.05 && time < ranges.end(index)) {
        this.begins = ranges.start(index);
        return ranges.end(index);
      }
    }
    return 0;
  }

  /** Where buffered footage begins again after a time; 0 when there is none. */
  later(time) {
    const ranges = this.buffer?.buffered;
    for (let index = 0; index < (ranges?.length ?? 0); index += 1) {
      if (ranges.start(index) > time) return ranges.start(index);
    }
    return 0;
  }

  tick() {
    if (this.closed || clock.mode.value !== 'playback') return;
    const time = clock.now() / 1000;
    const jumped = this.seen !== clock.seeks.value;
    if (jumped) {
      this.seen = clock.seeks.value;
      this.jump(time);
    }
    if (this.video.error) {
      this.stop();
      this.release();
      this.retry(this.video.error.message || 'The picture cannot be decoded.');
      return;
    }
    const end = this.end(time);
    if (end) this.follow(time, jumped);
    else if (this.member.state === 'gap') {
      if (this.member.next && clock.now() >= this.member.next) this.jump(time);
    } else if (!this.asking && this.loaded > time && this.later(time)) {
      this.become('gap', '', this.later(time) * 1000);
    } else if (this.member.state === 'playing') this.become('loading', '');
    else if (!this.asking && !this.timer && this.member.state === 'loading' && this.loaded > time + MISSING_S) {
      this.jump(time); // what was loaded is not there any more
    }
    if (!this.asking && !this.timer && this.member.state !== 'gap' && this.loaded < time + AHEAD_S * clock.speed.value) {
      this.load(Math.max(this.loaded, time - 1), MORE_S * Math.max(1, clock.speed.value / 2));
    }
  }

  /** Show another moment: at once where it is in memory. */
  jump(time) {
    const end = this.end(time);
    if (end) {
      this.loaded = end;
      if (this.asking && Math.abs(this.loadingFrom - time) > AHEAD_S) this.stop();
      return;
    }
    this.stop();
    this.fresh = true;
    this.loaded = 0;
    this.become('loading', '');
    this.load(time, FIRST_S);
  }

  /** Keep the video element at the clock's time. */
  follow(time, jumped) {
    const { video } = this;
    const drift = time - video.currentTime;
    const runs = clock.runs();
    if (jumped || Math.abs(drift) > (runs ? FAR_S * Math.max(1, clock.speed.value) : 0.02)) {
      // A jump into a hole between two files' sounds never ends by itself; the next one, a little later, does.
      if (!video.seeking || jumped || performance.now() - this.jumpedAt > STUCK_MS) {
        this.jumpedAt = performance.now();
        video.currentTime = Math.max(time, this.begins);
      }
    } else if (runs) {
      video.playbackRate = Math.min(MAX_RATE, Math.max(0.1, clock.speed.value * (1 + drift / clock.speed.value / 2)));
    }
    if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !video.seeking) this.become('playing', '');
    else if (this.member.state === 'playing' && performance.now() - this.jumpedAt > STUCK_MS / 2) this.become('loading', '');
    if (runs && video.paused && this.member.state === 'playing') video.play().catch(() => {});
    else if (!runs && !video.paused) video.pause();
  }

  async load(from, seconds) {
    const asking = new AbortController();
    this.asking = asking;
    this.loadingFrom = from;
    try {
      // Never earlier than where the answer before ended: it would be given its last piece again, for ever.
      const query = { from: new Date(Math.ceil(from * 1000)).toISOString(), seconds: Math.min(60, seconds) };
      const answer = await open('GET', cameraPath(this.camera, 'media', query), { signal: asking.signal });
      if (answer.status === 204) await this.gap(from, asking);
      else await this.take(answer, asking);
    } catch (problem) {
      if (asking.signal.aborted || this.closed) return;
      this.retry(problem.detail || problem.message);
    } finally {
      if (this.asking === asking) this.asking = null;
    }
    if (!this.closed && !asking.signal.aborted) queueMicrotask(() => this.tick());
  }

  async take(answer, asking) {
    const header = (name) => Number(answer.headers.get(name)) / 1e6;
    const mime = answer.headers.get('Content-Type');
    if (!plays(mime)) {
      asking.abort();
      this.become('waiting', `This browser cannot play ${mime}.`);
      return;
    }
    const buffer = await this.bufferFor(mime);
    if (asking.signal.aborted || this.buffer !== buffer) return;
    buffer.abort();
    if (this.fresh && buffer.buffered.length > MAX_RANGES) {
      buffer.remove(0, Infinity);
      await idle(buffer);
    }
    this.fresh = false;
    buffer.timestampOffset = header('Vigil-Epoch');
    const reader = answer.body.getReader();
    while (true) {
      const { done, value } = await reader.read();
      if (asking.signal.aborted || this.buffer !== buffer) {
        reader.cancel().catch(() => {});
        return;
      }
      if (done) break;
      await this.append(buffer, value);
      this.tick();
    }
    this.loaded = Math.max(header('Vigil-End'), this.loadingFrom);
  }

  /** The source buffer, made at the first answer. */
  async bufferFor(mime) {
    if (this.buffer) {
      if (this.mime !== mime) {
        await idle(this.buffer);
        this.buffer.changeType(mime);
        this.mime = mime;
      }
      await idle(this.buffer);
      return this.buffer;
    }
    const { source, address } = attach(this.video);
    this.source = source;
    this.address = address;
    await new Promise((resolve) => { source.addEventListener('sourceopen', resolve, { once: true }); });
    if (this.source !== source) return null;
    this.mime = mime;
    this.buffer = source.addSourceBuffer(mime);
    source.duration = Infinity;
    source.setLiveSeekableRange?.(0, Date.now() / 1000 + 10 * 365 * 86_400);
    return this.buffer;
  }

  async append(buffer, bytes) {
    const played = this.video.currentTime - KEEP_S;
    if (buffer.buffered.length && buffer.buffered.start(0) < played - KEEP_S) {
      buffer.remove(0, played);
      await idle(buffer);
    }
    try {
      buffer.appendBuffer(bytes);
    } catch (error) {
      if (error.name !== 'QuotaExceededError') throw error;
      buffer.remove(0, Math.max(0.1, this.video.currentTime - 2));
      await idle(buffer);
      buffer.appendBuffer(bytes);
    }
    await idle(buffer);
  }

  /** Nothing was recorded: wait for the clock to come where there is something again. */
  async gap(from, asking) {
    let next = null;
    try {
      next = await nextStart(this.camera, from * 1000);
    } catch (problem) {
      this.retry(problem.message);
      return;
    }
    if (asking.signal.aborted || this.closed) return;
    const time = clock.now();
    if (this.end(time / 1000) || (next !== null && next <= time + 500) || time > Date.now() - 15_000) {
      // What is being written now comes a moment later.
      this.loaded = Math.max(from, (next ?? 0) / 1000);
      this.timer = setTimeout(() => { this.timer = 0; }, 400);
      return;
    }
    this.loaded = 0;
    this.become('gap', '', next);
  }

  retry(detail) {
    if (this.closed) return;
    this.become('waiting', detail);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.loaded = 0;
      if (clock.mode.value === 'playback') this.jump(clock.now() / 1000);
    }, AGAIN_MS);
  }
}

function idle(buffer) {
  if (!buffer.updating) return Promise.resolve();
  return new Promise((resolve) => { buffer.addEventListener('updateend', resolve, { once: true }); });
}
