/* The same as loop.c, as one writes it down: a loop over time, in it one over the batch that the compiler vectorises.

   Time comes first and trials last, in the trials that are given, x (steps, INPUTS, batch), y and mask (steps, OUTPUTS,
   batch), and in what is kept of the forward pass, k (steps + 1, CARRIERS, batch) and gain (steps + 1, batch). The sums
   of the gradient run along with the way back. */

#include <math.h>
#include <string.h>

#define CARRIERS (INPUTS + RANK)
#define COLUMNS (2 * RANK + INPUTS + OUTPUTS)
#define V CARRIERS
#define Z (CARRIERS + RANK)

/* Bytes of working memory for so many steps and trials. */
size_t working_memory(long steps, long batch) {
    return ((steps + 1) * (CARRIERS + 1) + RANK) * batch * sizeof(double);
}

static void forward(long steps, long batch, double a, const double (*restrict S)[COLUMNS], const double *restrict x,
                    double *restrict k, double *restrict gain) {
    memset(k, 0, CARRIERS * batch * sizeof(double));
    for (long b = 0; b < batch; b++) gain[b] = 1;
    for (long t = 0; t < steps; t++) {
        const double *restrict now = k + t * CARRIERS * batch, *restrict g = gain + t * batch;
        double *restrict next = k + (t + 1) * CARRIERS * batch, *restrict g_next = gain + (t + 1) * batch;
        for (long b = 0; b < batch; b++) {
            double after[CARRIERS], Delta = 0;
            for (int i = 0; i < INPUTS; i++)
                after[i] = (1 - a) * now[i * batch + b] + a * x[(t * INPUTS + i) * batch + b];
            for (int i = 0; i < RANK; i++) {
                double drive = 0;
                for (int j = 0; j < CARRIERS; j++) drive += S[V + i][j] * now[j * batch + b];
                after[INPUTS + i] = (1 - a) * now[(INPUTS + i) * batch + b] + a * g[b] * drive;
            }
            for (int i = 0; i < CARRIERS; i++) {
                Delta += S[i][i] * after[i] * after[i];
                for (int j = 0; j < i; j++) Delta += 2 * S[i][j] * after[i] * after[j];
                next[i * batch + b] = after[i];
            }
            g_next[b] = NONLINEAR ? 1 / sqrt(1 + M_PI_2 * Delta) : 1;
        }
    }
}

static double backward(long steps, long batch, double a, double scale, const double (*restrict S)[COLUMNS],
                       const double *restrict y, const double *restrict mask, const double *restrict k,
                       const double *restrict gain, double *restrict l, double (*restrict bar)[COLUMNS]) {
    double loss = 0, bar_v[RANK][CARRIERS] = {0}, bar_z[OUTPUTS][CARRIERS] = {0}, bar_c[CARRIERS][CARRIERS] = {0};
    memset(l, 0, RANK * batch * sizeof(double));
    for (long t = steps; t > 0; t--) {
        const double *restrict now = k + t * CARRIERS * batch, *restrict g = gain + t * batch;
        for (long b = 0; b < batch; b++) {
            double gain_bar = 0, reach[CARRIERS] = {0};
            for (int i = 0; i < RANK; i++) {
                double drive = 0, passed = a * l[i * batch + b];
                for (int j = 0; j < CARRIERS; j++) {
                    drive += S[V + i][j] * now[j * batch + b];
                    bar_v[i][j] += g[b] * passed * now[j * batch + b];
                    reach[j] += S[V + i][j] * g[b] * passed;
                }
                gain_bar += drive * passed;
            }
            for (int i = 0; i < OUTPUTS; i++) {
                long place = ((t - 1) * OUTPUTS + i) * batch + b;
                double sum = 0, weight = mask ? scale * mask[place] : scale;
                for (int j = 0; j < CARRIERS; j++) sum += S[Z + i][j] * now[j * batch + b];
                double error = g[b] * sum - y[place], y_bar = 2 * weight * error;
                loss += weight * error * error;
                gain_bar += sum * y_bar;
                for (int j = 0; j < CARRIERS; j++) {
                    bar_z[i][j] += g[b] * y_bar * now[j * batch + b];
                    reach[j] += S[Z + i][j] * g[b] * y_bar;
                }
            }
            double Delta_bar = NONLINEAR ? -M_PI_4 * g[b] * g[b] * g[b] * gain_bar : 0;
            for (int i = 0; i < CARRIERS; i++)
                for (int j = 0; j < CARRIERS; j++) {
                    bar_c[i][j] += Delta_bar * now[i * batch + b] * now[j * batch + b];
                    reach[i] += 2 * Delta_bar * S[i][j] * now[j * batch + b];
                }
            for (int i = 0; i < RANK; i++) l[i * batch + b] = (1 - a) * l[i * batch + b] + reach[INPUTS + i];
        }
    }
    for (int j = 0; j < CARRIERS; j++) {
        for (int i = 0; i < RANK; i++) bar[V + i][j] = bar_v[i][j];
        for (int i = 0; i < OUTPUTS; i++) bar[Z + i][j] = bar_z[i][j];
        for (int i = 0; i < CARRIERS; i++) bar[i][j] = bar_c[i][j];
    }
    return loss;
}

/* Arguments are those of loop.c, but for the order of axes of trials. */
void loss_gradient(long states, long batch, long steps, long entries, double a, double scale, const double *S,
                   const double *x, const double *y, const double *mask, const long *rows, const long *columns,
                   double *restrict loss, double *restrict gradient, void *memory) {
    double *k = memory, *gain = k + (steps + 1) * CARRIERS * batch, *l = gain + (steps + 1) * batch;
    for (long state = 0; state < states; state++) {
        const double(*Sigma)[COLUMNS] = (const double(*)[COLUMNS])S + state * COLUMNS;
        double bar[COLUMNS][COLUMNS] = {0};
        forward(steps, batch, a, Sigma, x, k, gain);
        loss[state] = backward(steps, batch, a, scale, Sigma, y, mask, k, gain, l, bar);
        for (long n = 0; n < entries; n++) {
            long i = rows[n], j = columns[n];
            gradient[state * entries + n] = bar[i][j] + (i != j) * bar[j][i];
        }
    }
}
