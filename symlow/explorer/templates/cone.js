/* Feasible overlaps: Sigma = P^T P / N of real vectors is positive semidefinite, and every such Sigma is one of them.
 *
 * With all entries but Sigma_ij = Sigma_ji as they are, the Schur complement of the others, R, is a matrix of two rows,
 *
 *     [ d_i                Sigma_ij - c ]      d_i = Sigma_ii - w_i.w_i,   c = w_i.w_j,   w_i = L^-1 Sigma_Ri,
 *     [ Sigma_ij - c                d_j ]      Sigma_RR = L L^T,
 *
 * so that Sigma_ij lies within sqrt(d_i d_j) of c; and Sigma_ii is w_i.w_i or larger.
 */

/** Return [lowest, highest] of the entry (i, j) of an n x n Gram matrix with all others as they are. */
function feasibleRange(Sigma, n, i, j) {
  const others = [...Array(n).keys()].filter((k) => k !== i && k !== j);
  const L = lowerFactor(Sigma, n, others);
  const solved = (column) => forwardSolved(L, others.map((row) => Sigma[row * n + column]));
  const [wi, wj] = [solved(i), solved(j)];
  const inner = (a, b) => a.reduce((sum, value, k) => sum + value * b[k], 0);
  if (i === j) return [inner(wi, wi), Infinity];
  const left = Math.max(Sigma[i * n + i] - inner(wi, wi), 0);
  const right = Math.max(Sigma[j * n + j] - inner(wj, wj), 0);
  const [middle, reach] = [inner(wi, wj), Math.sqrt(left * right)];
  return [middle - reach, middle + reach];
}

/** Return the rows of L, Sigma_RR = L L^T over some rows of Sigma; zero columns where vectors depend on those before. */
function lowerFactor(Sigma, n, rows) {
  const L = [];
  rows.forEach((row, r) => {
    L.push(forwardSolved(L, rows.slice(0, r).map((column) => Sigma[row * n + column])));
    const square = L[r].reduce((rest, value) => rest - value * value, Sigma[row * n + row]);
    L[r].push(square > 1e-12 * Sigma[row * n + row] ? Math.sqrt(square) : 0);
  });
  return L;
}

/** Return w with L w = right, zero where L has a zero column. */
function forwardSolved(L, right) {
  const w = [];
  right.forEach((value, r) => {
    const rest = w.reduce((sum, known, k) => sum - L[r][k] * known, value);
    w.push(L[r][r] > 0 ? rest / L[r][r] : 0);
  });
  return w;
}
