/** Activation functions, as grokinterp.models.activations has them. */

/** erf(x), to 1.2e-7: Press et al., Numerical Recipes, section 6.2 (erfcc). */
function erf(x) {
  const t = 1 / (1 + 0.5 * Math.abs(x));
  const coefficients = [
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418,
    0.37409196, 1.00002368, -1.26551223,
  ];
  const sum = coefficients.reduce((total, c) => total * t + c, 0);
  const rest = t * Math.exp(-x * x + sum);
  return x >= 0 ? 1 - rest : rest - 1;
}

export const ACTIVATIONS = {
  square: (x) => x * x,
  relu: (x) => (x > 0 ? x : 0),
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
};
