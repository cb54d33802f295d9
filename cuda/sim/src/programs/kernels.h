// The programs' kernels, as PTX text written by hand.
#ifndef GPUTRAIN_SIM_PROGRAMS_KERNELS_H
#define GPUTRAIN_SIM_PROGRAMS_KERNELS_H

namespace programs {

// scale(x, y, a, n)            y[i] = a * x[i]
// add(x, y, z, n)              z[i] = x[i] + y[i]
// block_sum(x, sum, n)         sum[0] += all x[i], by shuffles, shared memory and an atomic
// histogram(keys, counts, n)   counts[keys[i]]++ for keys below 16, by shared atomics
// reverse(x, y)                y = x backwards within a block, through dynamic shared memory
// reverse_racy(x, y)           the same without its barrier
// half_barrier(y)              a barrier that only the second warp reaches
// missing_lanes(y)             a shuffle that names lanes which never come
// copy4(x, y)                  y[i] = x[i], four floats at a time
// last_block(y)                every block writes its number to y[0]
// undefined_register(y)        writes a register that nobody set
// trapped(y)                   traps
// by_factor(x, y, n)           y[i] = factor * table[i % 4] * x[i], with the module's variables factor and table
// sgd(w, g, rate, n)           w[i] -= rate[0] * g[i]
// gather(x, rows, y, columns, n)  y[i] = x[rows[i / columns] * columns + i % columns]
// subtract_one_hot(p, labels, classes, a, n)  p[i] = a * (p[i] - (labels[i / classes] == i % classes))
// advance(step, rate)          step[0]++, then rate[0] = 1 / (1 + step[0])
extern const char kKernels[];

}  // namespace programs

#endif
