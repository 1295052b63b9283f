const KINDS = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  int16: Uint16Array, // differences over steps, see below
  float32: Float32Array,
};

/**
 * The arrays that analyses.explorer.packing wrote, by name, each {shape, values}.
 *
 * @param {string} text base64 of gzip
 * @param {{name: string, dtype: string, shape: number[], scale?: number}[]} manifest
 */
export async function unpack(text, manifest) {
  const zipped = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const arrays = {};
  let at = 0;
  for (const { name, dtype, shape, scale } of manifest) {
    const count = shape.reduce((product, n) => product * n, 1);
    const size = KINDS[dtype].BYTES_PER_ELEMENT;
    const stored = ordered(bytes.subarray(at, at + count * size), count, size);
    at += count * size;
    const values = new KINDS[dtype](stored.buffer);
    arrays[name] = { shape, values: scale === undefined ? values : summed(values, shape, scale) };
  }
  return arrays;
}

/** Bytes of equal significance stand together in the file; here those of one value. */
function ordered(bytes, count, size) {
  const out = new Uint8Array(count * size);
  for (let k = 0; k < size; k++) {
    for (let i = 0; i < count; i++) out[i * size + k] = bytes[k * count + i];
  }
  return out;
}

/** Values over steps from their differences, which are stored as 0, -1, 1, -2, 2, ... */
function summed(codes, shape, scale) {
  const each = codes.length / shape[0];
  const out = new Float32Array(codes.length);
  const now = new Int16Array(each);
  for (let at = 0; at < codes.length; at += each) {
    for (let i = 0; i < each; i++) {
      const code = codes[at + i];
      now[i] += (code >>> 1) ^ -(code & 1);
      out[at + i] = now[i] * scale;
    }
  }
  return out;
}
