/** Discrete Fourier transforms of vectors and planes of p values; p is small, so sums suffice. */

/** Cosine and sine of 2 pi i / p for i = 0 .. p - 1. */
function circle(p) {
  const angle = (i) => (2 * Math.PI * i) / p;
  return {
    cos: Float64Array.from({ length: p }, (_, i) => Math.cos(angle(i))),
    sin: Float64Array.from({ length: p }, (_, i) => Math.sin(angle(i))),
  };
}

/** Share of each frequency 0 .. floor(p / 2) in the power of a vector, as probes.power_shares. */
export function powerShares(values) {
  const p = values.length;
  const { cos, sin } = circle(p);
  const power = Array.from({ length: Math.floor(p / 2) + 1 }, (_, k) => {
    let re = 0, im = 0;
    for (let i = 0; i < p; i++) {
      re += values[i] * cos[(k * i) % p];
      im -= values[i] * sin[(k * i) % p];
    }
    return re * re + im * im;
  });
  const total = power.reduce((sum, value) => sum + value, 0);
  return power.map((value) => value / total);
}

/** Size of each two-dimensional Fourier coefficient of a plane [a, b]; [f_a, f_b], 0 .. p - 1. */
export function planeSpectrum(plane, p) {
  const { cos, sin } = circle(p);
  const re = new Float64Array(p * p), im = new Float64Array(p * p);
  for (let a = 0; a < p; a++) {
    for (let k = 0; k < p; k++) {
      let x = 0, y = 0;
      for (let b = 0; b < p; b++) {
        x += plane[a * p + b] * cos[(k * b) % p];
        y -= plane[a * p + b] * sin[(k * b) % p];
      }
      re[a * p + k] = x;
      im[a * p + k] = y;
    }
  }
  const size = new Float64Array(p * p);
  for (let k = 0; k < p; k++) {
    for (let f = 0; f < p; f++) {
      let x = 0, y = 0;
      for (let a = 0; a < p; a++) {
        const c = cos[(f * a) % p], s = sin[(f * a) % p];
        x += re[a * p + k] * c + im[a * p + k] * s;
        y += im[a * p + k] * c - re[a * p + k] * s;
      }
      size[f * p + k] = Math.hypot(x, y);
    }
  }
  return size;
}
