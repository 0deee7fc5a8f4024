// Pictures and clips as files on the user's machine.
import { signal } from './vendor/signals.js';
import { cameraPath, open } from './api.js';
import * as clock from './clock.js';
import { tell, tellProblem } from './state.js';
import { bytes, fileName } from './words.js';

const QUALITY = 0.95;
const PART_BYTES = 16 << 20;

export const download = signal(null); // the clip under way: { name, got, stop }

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = Object.assign(document.createElement('a'), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

const drawn = (video) => new Promise((resolve) => {
  const canvas = Object.assign(document.createElement('canvas'), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext('2d').drawImage(video, 0, 0);
  canvas.toBlob(resolve, 'image/jpeg', QUALITY);
});

/** A cell's picture: as it is shown when that is the full stream, else the full one of the same moment. */
export async function snapshot(camera, video, stream) {
  const time = clock.now();
  const shown = video && video.videoWidth > 0 && stream === 'main';
  try {
    const picture = shown
      ? await drawn(video)
      : await (await open('GET', cameraPath(camera, 'snapshot', clock.mode.value === 'live' ? {} : { at: new Date(time).toISOString() }))).blob();
    const name = fileName(camera.name, time, 'jpg');
    save(picture, name);
    tell(`Snapshot saved as ${name}.`);
  } catch (problem) {
    tellProblem('The snapshot could not be made')(problem);
  }
}

/** A stretch of footage as one MP4 file. */
export async function clip(camera, from, to) {
  const stopping = new AbortController();
  const name = fileName(camera.name, from, 'mp4');
  download.value = { name, got: 0, stop: () => stopping.abort() };
  try {
    const query = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
    const answer = await open('GET', cameraPath(camera, 'clip', query), { signal: stopping.signal });
    const parts = []; // of the file; the browser puts them on the disk when they are many
    let waiting = [];
    let kept = 0;
    let got = 0;
    const reader = answer.body.getReader();
    while (true) {
      const { done, value } = await reader.read();
      if (done) break;
      waiting.push(value);
      got += value.byteLength;
      if (got - kept > PART_BYTES) {
        parts.push(new Blob(waiting));
        waiting = [];
        kept = got;
      }
      download.value = { ...download.value, got };
    }
    save(new Blob([...parts, ...waiting], { type: 'video/mp4' }), name);
    tell(`Clip saved as ${name}, ${bytes(got)}.`);
    return true;
  } catch (problem) {
    if (stopping.signal.aborted) tell('The clip was not saved.');
    else tellProblem('The clip could not be saved')(problem);
    return false;
  } finally {
    download.value = null;
  }
}
