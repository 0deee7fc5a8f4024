// Where a player's bytes go: Media Source Extensions, or what iPhones have in their place.
const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

export const plays = (mime) => Boolean(Source?.isTypeSupported(mime));

/** Give an element a new source: { source, address }; the address is revoked by whoever asked for it. */
export function attach(element) {
  const source = new Source();
  const address = URL.createObjectURL(source);
  element.disableRemotePlayback = true; // a managed source opens only then
  element.src = address;
  return { source, address };
}
