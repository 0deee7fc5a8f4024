// One live stream, picture or sound: fragmented MP4 over a WebSocket into MediaSource, kept close to the live edge.
import { ask, socketUrl } from './api.js';
import { attach, plays } from './source.js';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;
const TICK_MS = 250;
const CLOSE = { // in s
  video: { far: 1, behind: 0.25, edge: 0.15 }, // beyond `far` jump to `edge` from the end, beyond `behind` hurry
  audio: { far: 1.5, behind: 0.6, edge: 0.35 },
};
const HURRY = 1.1;
const KEEP_S = 10; // of what has been played
const STILL_MS = 2_500; // without a fragment, what is shown is no live picture any more, and must not look like one
const SILENCE_MS = 8_000; // without a fragment, the connection counts as dead
const FINAL = new Set([4403, 4404]); // the profile, or there is no such camera
const MAX_QUEUE = 400; // fragments that wait for the decoder, about 16 s

export class Player {
  /** `status(state, detail, stream)` with state connecting, live, still, waiting, refused; the last one is final. */
  constructor(video, cameraId, stream, status, media = 'video') {
    this.video = video;
    this.cameraId = cameraId;
    this.stream = stream;
    this.media = media;
    this.status = (state, detail) => status(state, detail, this.stream);
    this.wait = FIRST_WAIT_MS;
    this.closed = false;
    this.queue = [];
    status('connecting', '');
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    this.connect();
  }

  close() {
    this.closed = true;
    clearInterval(this.ticker);
    clearTimeout(this.timer);
    this.hangUp();
    this.release();
  }

  async connect() {
    let ticket;
    try {
      ({ ticket } = await ask('POST', '/stream-tickets', { camera_id: this.cameraId, stream: this.stream }));
    } catch (problem) {
      if (problem.status === 403 || problem.status === 404) this.refuse(problem.detail || problem.message);
      else this.again(problem.message);
      return;
    }
    if (this.closed) return;
    let trouble = '';
    const socket = new WebSocket(socketUrl(`/live/${encodeURIComponent(this.cameraId)}`
      + `?stream=${this.stream}&media=${this.media}`));
    this.socket = socket;
    this.heardAt = performance.now();
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => socket.send(JSON.stringify({ ticket }));
    socket.onmessage = ({ data }) => {
      this.heardAt = performance.now();
      if (typeof data !== 'string') {
        this.wait = FIRST_WAIT_MS;
        this.append(data);
        return;
      }
      const said = JSON.parse(data);
      if (said.stream && this.media === 'video') this.stream = said.stream;
      if (said.mime) this.begin(said.mime);
      if (said.problem) trouble = said.problem;
    };
    socket.onclose = ({ code }) => {
      if (FINAL.has(code)) this.refuse(trouble);
      else this.again(trouble);
    };
  }

  /** It will not be shown, however often one asks. */
  refuse(detail) {
    if (this.closed) return;
    this.hangUp();
    this.release();
    this.status('refused', detail);
  }

  again(detail) {
    if (this.closed) return;
    this.hangUp();
    this.status('waiting', detail);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), this.wait * (0.5 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
  }

  hangUp() {
    if (!this.socket) return;
    this.socket.onclose = this.socket.onmessage = this.socket.onopen = null;
    this.socket.close();
    this.socket = null;
  }

  /** A stream begins, or goes on in another format. */
  begin(mime) {
    this.release();
    if (!plays(mime)) {
      this.refuse(`This browser cannot play ${mime}.`);
      return;
    }
    const { source, address } = attach(this.video);
    this.source = source;
    this.address = address;
    source.addEventListener('sourceopen', () => {
      if (this.source !== source) return;
      this.buffer = source.addSourceBuffer(mime);
      this.buffer.addEventListener('updateend', () => this.feed());
      this.feed();
    }, { once: true });
  }

  release() {
    this.queue = [];
    this.buffer = null;
    this.source = null;
    if (this.address) {
      URL.revokeObjectURL(this.address);
      this.address = null;
      this.video.removeAttribute('src');
      this.video.load();
    }
  }

  append(bytes) {
    if (!this.source) return;
    this.queue.push(bytes);
    if (this.queue.length > MAX_QUEUE) this.again('The picture cannot keep up.');
    else this.feed();
  }

  feed() {
    const { buffer, video } = this;
    if (!buffer || buffer.updating || this.source.readyState !== 'open') return;
    try {
      const played = video.currentTime - KEEP_S;
      if (buffer.buffered.length && buffer.buffered.start(0) < played - 1) {
        buffer.remove(0, played);
      } else if (this.queue.length) {
        buffer.appendBuffer(this.queue.length === 1 ? this.queue.pop() : joined(this.queue.splice(0)));
      }
    } catch (error) {
      this.again(error.message);
    }
  }

  tick() {
    if (this.socket && performance.now() - this.heardAt > SILENCE_MS) {
      this.again('No picture comes.');
      return;
    }
    const { video, buffer } = this;
    if (!buffer || !this.socket) return;
    if (video.error) {
      this.again(video.error.message || 'The picture cannot be decoded.');
      return;
    }
    const ranges = buffer.buffered;
    if (!ranges.length) return;
    const end = ranges.end(ranges.length - 1);
    const start = ranges.start(ranges.length - 1);
    const lag = end - video.currentTime;
    const { far, behind, edge } = CLOSE[this.media];
    // A hole in the middle is jumped over like a lag.
    if (video.currentTime < start || lag > far) video.currentTime = Math.max(start, end - edge);
    video.playbackRate = lag > behind ? HURRY : 1;
    if (video.paused) video.play().catch(() => {});
    if (performance.now() - this.heardAt > STILL_MS) this.status('still', '');
    else if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) this.status('live', '');
  }
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part), at);
    at += part.byteLength;
  }
  return whole;
}
