/* The same as loop.c at rank 1 with one input and one output, as one writes it down: a loop over time, in it one over the
   batch, and numbers by name. What to do with vectors is left to the compiler.

   Time comes first and trials last, in the trials that are given, x, y and mask (steps, batch), and in what is kept of
   the forward pass, km, ku and gain (steps + 1, batch). */

#include <math.h>
#include <stddef.h>

/* Bytes of working memory for so many steps and trials. */
size_t working_memory(long steps, long batch) { return (3 * (steps + 1) + 1) * batch * sizeof(double); }

/* Loss of one state of overlaps, zm, zu, vm, vu, mu, mm, uu, and its gradient by them. */
double of_state(long batch, long steps, double a, double scale, const double *restrict S, const double *restrict x,
                const double *restrict y, const double *restrict mask, double *restrict gradient, double *restrict km,
                double *restrict ku, double *restrict gain, double *restrict l) {
    double zm = S[0], zu = S[1], vm = S[2], vu = S[3], mu = S[4], mm = S[5], uu = S[6];
    for (long b = 0; b < batch; b++) km[b] = 0, ku[b] = 0, gain[b] = 1, l[b] = 0;
    for (long t = 0; t < steps; t++) {
        const double *restrict m = km + t * batch, *restrict u = ku + t * batch, *restrict g = gain + t * batch;
        double *restrict m_next = km + (t + 1) * batch, *restrict u_next = ku + (t + 1) * batch;
        double *restrict g_next = gain + (t + 1) * batch;
        for (long b = 0; b < batch; b++) {
            double km_next = (1 - a) * m[b] + a * x[t * batch + b];
            double ku_next = (1 - a) * u[b] + a * g[b] * (vm * m[b] + vu * u[b]);
            double Delta = mm * km_next * km_next + 2 * mu * km_next * ku_next + uu * ku_next * ku_next;
            m_next[b] = km_next, u_next[b] = ku_next, g_next[b] = NONLINEAR ? 1 / sqrt(1 + M_PI_2 * Delta) : 1;
        }
    }
    double loss = 0, zm_bar = 0, zu_bar = 0, vm_bar = 0, vu_bar = 0, mu_bar = 0, mm_bar = 0, uu_bar = 0;
    for (long t = steps; t > 0; t--) {
        const double *restrict m = km + t * batch, *restrict u = ku + t * batch, *restrict g = gain + t * batch;
        const double *restrict target = y + (t - 1) * batch, *restrict masked = mask + (t - 1) * batch;
        for (long b = 0; b < batch; b++) {
            double read = zm * m[b] + zu * u[b], error = g[b] * read - target[b], weight = scale * masked[b];
            double y_bar = 2 * weight * error, passed = a * l[b];
            double Delta_bar = NONLINEAR * -M_PI_4 * g[b] * g[b] * g[b] * (read * y_bar + passed * (vm * m[b] + vu * u[b]));
            loss += weight * error * error;
            zm_bar += g[b] * y_bar * m[b], zu_bar += g[b] * y_bar * u[b];
            vm_bar += g[b] * passed * m[b], vu_bar += g[b] * passed * u[b];
            mu_bar += 2 * Delta_bar * m[b] * u[b], mm_bar += Delta_bar * m[b] * m[b], uu_bar += Delta_bar * u[b] * u[b];
            l[b] = (1 - a) * l[b] + g[b] * (zu * y_bar + vu * passed) + 2 * Delta_bar * (uu * u[b] + mu * m[b]);
        }
    }
    gradient[0] = zm_bar, gradient[1] = zu_bar, gradient[2] = vm_bar, gradient[3] = vu_bar;
    gradient[4] = mu_bar, gradient[5] = mm_bar, gradient[6] = uu_bar;
    return loss;
}

/* Arguments are those of loop.c, but for the order of axes of trials, and mask, which is there. */
void loss_gradient(long states, long batch, long steps, long entries, double a, double scale, const double *S,
                   const double *x, const double *y, const double *mask, const long *rows, const long *columns,
                   double *loss, double *gradient, void *memory) {
    static const int row[] = {3, 3, 2, 2, 1, 0, 1}, column[] = {0, 1, 0, 1, 0, 0, 1}; /* of m, u, v, z */
    double *km = memory, *ku = km + (steps + 1) * batch, *gain = ku + (steps + 1) * batch;
    for (long state = 0; state < states; state++) {
        double overlaps[7], found[7];
        for (int k = 0; k < 7; k++) overlaps[k] = S[16 * state + 4 * row[k] + column[k]];
        loss[state] = of_state(batch, steps, a, scale, overlaps, x, y, mask, found, km, ku, gain, gain + (steps + 1) * batch);
        for (long n = 0; n < entries; n++)
            for (int k = 0; k < 7; k++)
                if ((rows[n] == row[k] && columns[n] == column[k]) || (rows[n] == column[k] && columns[n] == row[k]))
                    gradient[state * entries + n] = found[k];
    }
}
