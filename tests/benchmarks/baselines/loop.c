/* Loss of trials and its gradient by every visible overlap, for a low-rank network of linear or erf neurons:

       km[t+1] = (1 - a) km[t] + a x[t]
       ku[t+1] = (1 - a) ku[t] + a g (S_vm km[t] + S_vu ku[t])
       y[t]    = g (S_zm km[t+1] + S_zu ku[t+1])              g = g(Delta) of the latents that stand beside it
       Delta   = k^T S_cc k,  k = [km; ku],  c = [m; u];      g = (1 + (pi/2) Delta)^(-1/2), or 1 where linear
       loss    = scale * sum over trials, time and outputs of mask * (y - target)^2

   and the reverse of it, written out by hand: l[t] = dL/dku[t] runs backwards in time, and

       dL/dS_z. = sum g ybar k^T      dL/dS_v. = a sum g l[t+1] k^T      dL/dS_cc = sum Deltabar k k^T.

   The sizes are constants of compilation: RANK, INPUTS, OUTPUTS, NONLINEAR (0 or 1), and

       LANES   trials that advance together, side by side in memory: a multiple of VECTOR
       VECTOR  doubles in a vector of the machine
       BLOCK   time steps between two of the matrix products that the three sums above are.

   A program for GCC or Clang: vectors are theirs, not those of one machine.

   A batch is cut into blocks of LANES trials; the last is filled up with trials of weight 0. What depends on the trials
   alone, their transposition and km, is done once for all states. */

#include <math.h>
#include <string.h>

#define CARRIERS (INPUTS + RANK)  /* rows of k */
#define READERS (OUTPUTS + RANK)  /* rows of z and v */
#define LEFT (READERS + NONLINEAR * CARRIERS)
#define COLUMNS (2 * RANK + INPUTS + OUTPUTS)
#define M 0 /* where the vectors begin among the columns m, u, v, z */
#define U INPUTS
#define V CARRIERS
#define Z (CARRIERS + RANK)
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) < (b) ? (b) : (a))
#define VECTORS (LANES / VECTOR)
/* A tile of a matrix product: its sums are vectors in registers, WIDTH a divisor of CARRIERS where there is one. */
#define WIDTH (CARRIERS % 5 ? 3 : 5)
#define ROWS (15 / WIDTH)

typedef double vector __attribute__((vector_size(8 * VECTOR)));
typedef vector lanes[VECTORS];
#define LANE(group, lane) (((double *)(group))[lane])

/* What a state has at each time: forward in time it is written, backward it is read. */
typedef struct {
    lanes k[CARRIERS];
    lanes drive[RANK];                /* S_vm km + S_vu ku */
    lanes pull[NONLINEAR ? RANK : 0]; /* S_um km + S_uu ku */
    lanes gain[NONLINEAR];
} moment;

typedef lanes outputs[OUTPUTS];

/* Bytes of working memory for so many steps, of any number of trials; the caller aligns it to 64 bytes. */
size_t working_memory(long steps, long batch) {
    (void)batch;
    return (steps + 1) * (sizeof(moment) + 2 * sizeof(outputs)) + BLOCK * LEFT * sizeof(lanes);
}

/* Where the trials of each lane begin; those of the lanes that fill up are trials of others. */
static void find_lanes(long batch, long first, long length, const double *array, const double *begin[LANES]) {
    for (long lane = 0; lane < LANES; lane++)
        begin[lane] = array + (first + lane < batch ? first + lane : first) * length;
}

static void filter_inputs(long steps, double a, const double *const x[LANES], moment *restrict moments) {
    lanes km[INPUTS] = {0};
    memset(moments, 0, sizeof(moment));
    for (long t = 0; t < steps; t++)
        for (int i = 0; i < INPUTS; i++)
            for (int lane = 0; lane < LANES; lane++)
                LANE(moments[t + 1].k[i], lane) = LANE(km[i], lane) =
                    (1 - a) * LANE(km[i], lane) + a * x[lane][t * INPUTS + i];
}

/* arranged = factor * array, time first. */
static void arrange(long steps, const double factor[LANES], const double *const array[LANES],
                    outputs *restrict arranged) {
    for (long t = 0; t < steps; t++)
        for (int i = 0; i < OUTPUTS; i++)
            for (int lane = 0; lane < LANES; lane++)
                LANE(arranged[t][i], lane) = factor[lane] * array[lane][t * OUTPUTS + i];
}

static void forward(long steps, double a, const double (*restrict S)[COLUMNS], moment *restrict moments) {
    lanes ku[RANK] = {0};
    for (long t = 0; t <= steps; t++) {
        moment *now = moments + t;
        for (int v = 0; v < VECTORS; v++) {
            vector k[CARRIERS], gain = (vector){0} + 1;
            for (int i = 0; i < INPUTS; i++) k[i] = now->k[i][v];
            for (int i = 0; i < RANK; i++) now->k[INPUTS + i][v] = k[INPUTS + i] = ku[i][v];
#if NONLINEAR
            vector Delta = {0};
            for (int i = 0; i < INPUTS; i++)
                for (int j = 0; j < INPUTS; j++) Delta += S[M + i][M + j] * k[i] * k[j];
            for (int i = 0; i < RANK; i++) {
                vector known = {0}, sum = {0};
                for (int j = 0; j < INPUTS; j++) known += S[U + i][M + j] * k[j];
                for (int j = 0; j < RANK; j++) sum += S[U + i][U + j] * k[U + j];
                now->pull[i][v] = known + sum;
                Delta += (2 * known + sum) * k[U + i];
            }
            for (int l = 0; l < VECTOR; l++) gain[l] = 1 / sqrt(1 + M_PI_2 * Delta[l]);
            now->gain[0][v] = gain;
#endif
            for (int i = 0; i < RANK; i++) {
                vector sum = {0};
                for (int j = 0; j < CARRIERS; j++) sum += S[V + i][M + j] * k[j];
                now->drive[i][v] = sum;
                ku[i][v] = (1 - a) * k[INPUTS + i] + a * gain * sum;
            }
        }
    }
}

/* sums[a][b] += sum over moments and lanes of left[a] k[b], for a tile of rows and columns. */
static inline __attribute__((always_inline)) void tile(int rows, int columns, int a0, int b0, long count,
                                                       const moment *restrict moments,
                                                       const lanes (*restrict left)[LEFT],
                                                       vector (*restrict sums)[CARRIERS]) {
    vector sum[ROWS][WIDTH];
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < columns; b++) sum[a][b] = sums[a0 + a][b0 + b];
    for (long t = 0; t < count; t++)
        for (int v = 0; v < VECTORS; v++)
            for (int a = 0; a < rows; a++)
                for (int b = 0; b < columns; b++) sum[a][b] += left[t][a0 + a][v] * moments[t].k[b0 + b][v];
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < columns; b++) sums[a0 + a][b0 + b] = sum[a][b];
}

static inline __attribute__((always_inline)) void row_of_tiles(int rows, int a, int first, long count,
                                                               const moment *restrict moments,
                                                               const lanes (*restrict left)[LEFT],
                                                               vector (*restrict sums)[CARRIERS]) {
    for (int b = 0; b + WIDTH <= CARRIERS; b += WIDTH)
        if (b + WIDTH > first) tile(rows, WIDTH, a, b, count, moments, left, sums);
    if (CARRIERS % WIDTH) tile(rows, CARRIERS % WIDTH, a, CARRIERS / WIDTH * WIDTH, count, moments, left, sums);
}

/* Of the part that is symmetric, dL/dS_cc, tiles below the diagonal are left out. */
static void multiply(long count, const moment *restrict moments, const lanes (*restrict left)[LEFT],
                     vector (*restrict sums)[CARRIERS]) {
    int a = 0;
    for (; a + ROWS <= LEFT; a += ROWS) row_of_tiles(ROWS, a, a - READERS, count, moments, left, sums);
    if (LEFT % ROWS) row_of_tiles(LEFT % ROWS, a, a - READERS, count, moments, left, sums);
}

static double backward(long steps, double a, const double (*restrict S)[COLUMNS], const outputs *restrict targets,
                       const outputs *restrict weights, long stride, const moment *restrict moments,
                       lanes (*restrict left)[LEFT], double (*restrict bar)[CARRIERS]) {
    lanes l[RANK] = {0}, loss = {0};
    vector sums[LEFT][CARRIERS] = {0};
    for (long end = steps; end > 0; end -= BLOCK) {
        long start = end > BLOCK ? end - BLOCK : 0;
        for (long t = end; t > start; t--) {
            const moment *now = moments + t;
            const lanes *target = targets[t - 1], *weight = weights[(t - 1) * stride];
            lanes *row = left[t - start - 1];
            for (int v = 0; v < VECTORS; v++) {
                vector gain = (vector){0} + 1, gain_bar = {0}, reach[RANK];
                for (int i = 0; i < RANK; i++) reach[i] = (1 - a) * l[i][v];
#if NONLINEAR
                gain = now->gain[0][v];
                for (int i = 0; i < RANK; i++) gain_bar += a * l[i][v] * now->drive[i][v];
#endif
                for (int i = 0; i < RANK; i++) {
                    vector scaled = a * gain * l[i][v];
                    row[OUTPUTS + i][v] = scaled;
                    for (int j = 0; j < RANK; j++) reach[j] += S[V + i][INPUTS + j] * scaled;
                }
                for (int i = 0; i < OUTPUTS; i++) {
                    vector sum = {0};
                    for (int j = 0; j < CARRIERS; j++) sum += S[Z + i][M + j] * now->k[j][v];
                    vector error = gain * sum - target[i][v], weighted = weight[i][v] * error;
                    loss[v] += weighted * error;
                    gain_bar += 2 * weighted * sum;
                    vector scaled = 2 * gain * weighted;
                    row[i][v] = scaled;
                    for (int j = 0; j < RANK; j++) reach[j] += S[Z + i][INPUTS + j] * scaled;
                }
#if NONLINEAR
                vector Delta_bar = -M_PI_4 * gain * gain * gain * gain_bar;
                for (int i = 0; i < CARRIERS; i++) row[READERS + i][v] = Delta_bar * now->k[i][v];
                for (int i = 0; i < RANK; i++) reach[i] += 2 * Delta_bar * now->pull[i][v];
#endif
                for (int i = 0; i < RANK; i++) l[i][v] = reach[i];
            }
        }
        multiply(end - start, moments + start + 1, (const lanes (*)[LEFT])left, sums);
    }
    for (int i = 0; i < LEFT; i++)
        for (int j = 0; j < CARRIERS; j++)
            for (int lane = 0; lane < VECTOR; lane++) bar[i][j] += sums[i][j][lane];
    double total = 0;
    for (int v = 0; v < VECTORS; v++)
        for (int lane = 0; lane < VECTOR; lane++) total += loss[v][lane];
    return total;
}

/* Loss (states,) and gradient (states, entries) of states S (states, COLUMNS, COLUMNS), Gram matrices of columns in the
   order m, u, v, z, for x (batch, steps, INPUTS), y and mask (batch, steps, OUTPUTS), mask or NULL. rows and columns
   (entries,) name the entry of S that a number of the gradient belongs to; it counts for its mirror image too. */
void loss_gradient(long states, long batch, long steps, long entries, double a, double scale, const double *S,
                   const double *x, const double *y, const double *mask, const long *rows, const long *columns,
                   double *restrict loss, double *restrict gradient, void *memory) {
    moment *moments = memory;
    outputs *targets = (outputs *)(moments + steps + 1), *weights = targets + steps;
    lanes(*left)[LEFT] = (lanes(*)[LEFT])(weights + steps + 1);
    const double *begin[LANES];
    double one[LANES], factor[LANES];
    memset(loss, 0, states * sizeof(double));
    memset(gradient, 0, states * entries * sizeof(double));
    for (long first = 0; first < batch; first += LANES) {
        for (long lane = 0; lane < LANES; lane++) {
            one[lane] = 1;
            factor[lane] = first + lane < batch ? scale : 0;
        }
        find_lanes(batch, first, steps * INPUTS, x, begin);
        filter_inputs(steps, a, begin, moments);
        find_lanes(batch, first, steps * OUTPUTS, y, begin);
        arrange(steps, one, begin, targets);
        if (mask) {
            find_lanes(batch, first, steps * OUTPUTS, mask, begin);
            arrange(steps, factor, begin, weights);
        } else
            for (int i = 0; i < OUTPUTS; i++) memcpy(weights[0][i], factor, sizeof(factor));
        for (long state = 0; state < states; state++) {
            const double(*Sigma)[COLUMNS] = (const double(*)[COLUMNS])S + state * COLUMNS;
            double bar[LEFT][CARRIERS] = {0}, full[COLUMNS][COLUMNS] = {0};
            forward(steps, a, Sigma, moments);
            loss[state] += backward(steps, a, Sigma, targets, weights, mask != 0, moments, left, bar);
            for (int j = 0; j < CARRIERS; j++) {
                for (int i = 0; i < OUTPUTS; i++) full[Z + i][M + j] = bar[i][j];
                for (int i = 0; i < RANK; i++) full[V + i][M + j] = bar[OUTPUTS + i][j];
                for (int i = 0; i < NONLINEAR * CARRIERS; i++)
                    full[M + i][M + j] = bar[READERS + MIN(i, j)][MAX(i, j)];
            }
            for (long n = 0; n < entries; n++) {
                long i = rows[n], j = columns[n];
                gradient[state * entries + n] += full[i][j] + (i != j) * full[j][i];
            }
        }
    }
}
