// Types and functions shared by all kernels of training steps on a GPU. A module is this file,
// followed by `kernels.cu` or by a kernel that `formulas.py` has generated.
//
// The code is used in three ways: CuPy compiles it on a machine with a GPU; in the tests, NVRTC
// alone compiles it, and a small header makes it run on the CPU. So it includes nothing, and uses
// only what that header supports: one-dimensional blocks of whole warps, barriers, shuffles,
// ballots and atomics. It is pure ASCII, since CuPy writes it to a file in the encoding of the
// locale.
//
// REAL is float or double, the dtype of the network. Matrices are stored row by row. Values that
// change from step to step are in a State on the device, which captured steps read at each replay.
// Sums over a batch are computed in double, or in a fixed order, so that a step is reproducible bit
// for bit; a comment in `kernels.cu` marks the only exception.
//
// Names of arrays: x is the input of a layer, z its output, b its biases, w its weights, g the
// gradient of a parameter, d the derivative of the activation, e the error, which is the derivative
// of the loss with respect to z.

#ifndef SIMT_EMULATED
#define SHARED(T, name, n) __shared__ T name[n]
#endif
#ifndef REAL
#define REAL float
#endif

#define KERNEL extern "C" __global__ void
// A module has only some of the kernels, and may not use all functions.
#define DEVICE [[maybe_unused]] static __device__ __forceinline__

typedef long long int64;
typedef unsigned long long uint64;

// 64-bit words; `kernels.py` has the same names in the same order.
struct State {
    int64 step;             // the step in this run, from 0
    int64 start;            // index of the batch's first sample in the order
    int64 update;           // the number of the update, from 1
    int64 batch;            // samples in a full batch
    int64 skipped;          // whether the update is skipped: none is due, or the gradient overflowed
    int64 good;             // updates since the loss scale changed
    int64 has_update;       // whether an update follows this step
    int64 waiting;          // steps since the last update, including this one
    int64 first;            // whether this step is the first since the last update
    double rate;            // the learning rate
    double average_weight;  // weight of the new parameters in their running average
    double batch_weight;    // total weight of the batch, if gradients are accumulated
    double group_weight;    // total weight of the batches since the last update
    double total;           // total weight of the batch's samples
    double scale;           // loss scale, which prevents underflow of float16 products
    double factor;          // factor of the gradient, for clipping and for undoing the loss scale
    double hits;            // total weight of this run's correctly classified samples
    double counted;         // total weight of this run's samples
    int64 draws[20];        // number of masks that each dropout drew before this run
};

// ---- reductions over threads

#define WARP 0xffffffffu

template <typename T>
DEVICE T warp_sum(T value) {
    for (int offset = 16; offset; offset >>= 1) value += __shfl_xor_sync(WARP, value, offset);
    return value;
}

DEVICE int64 first_index() { return blockIdx.x * (int64)blockDim.x + threadIdx.x; }

DEVICE int64 stride() { return gridDim.x * (int64)blockDim.x; }

// ---- functions without a C++ operator or literal

DEVICE double infinite() { return __longlong_as_double(0x7ff0000000000000ll); }

DEVICE double not_a_number() { return __longlong_as_double(0x7ff8000000000000ll); }

// NaN in either argument gives NaN, unlike in fmax and fmin.
template <typename T>
DEVICE T larger(T a, T b) {
    return a < b || b != b ? b : a;
}

template <typename T>
DEVICE T smaller(T a, T b) {
    return a > b || b != b ? b : a;
}

// ---- activations

// Calls `apply(i, z[i] + bias)` for each element i of z; b may be null.
template <typename Apply>
DEVICE void each_output(const REAL* z, const REAL* b, int rows, int n, const Apply& apply) {
    const unsigned total = (unsigned)rows * (unsigned)n;  // below 2**31: its remainder is cheap
    for (unsigned i = (unsigned)first_index(); i < total; i += (unsigned)stride()) {
        REAL value = z[i];
        if (b) value += b[i % (unsigned)n];
        apply(i, value);
    }
}

// Sums `error(i)` over each column, separately for each of gridDim.y groups of rows, into `parts`.
// A block handles 32 columns.
template <typename Error>
DEVICE void back_columns(REAL* parts, int rows, int n, const Error& error) {
    SHARED(REAL, sums, 1024);
    const int lane = threadIdx.x & 31, group = threadIdx.x >> 5, groups = blockDim.x >> 5;
    const int c = blockIdx.x * 32 + lane;
    const int piece = (rows + gridDim.y - 1) / gridDim.y, first = blockIdx.y * piece;
    const int stop = first + piece < rows ? first + piece : rows;
    REAL sum = 0;
    if (c < n)
        for (int r = first + group; r < stop; r += groups) sum += error(r * (int64)n + c);
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (group == 0 && c < n) {
        for (int k = 1; k < groups; ++k) sum += sums[k * 32 + lane];
        parts[blockIdx.y * n + c] = sum;
    }
}

// ---- losses: one warp per row. The error is the derivative of the weighted mean of the samples'
//      losses, times the loss scale. `reduce_losses` sums the loss and the hits of the samples.

struct Row {
    int64 sample;
    REAL share;  // the sample's fraction of the mean
    double weight;
};

DEVICE Row row_of(
    int r, int rows, const int64* order, const REAL* weights, const State* state) {
    Row row;
    row.sample = order[state->start + r];
    row.weight = weights ? (double)weights[row.sample] : 1;
    const double total = weights ? (state->total > 0 ? state->total : 1) : rows;
    row.share = (REAL)(row.weight / total);
    return row;
}

#define FOR_ROWS(r)                                                                 \
    const int lane = threadIdx.x & 31;                                              \
    const int warps = (int)(gridDim.x * (blockDim.x >> 5));                         \
    for (int r = (int)(blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5)); r < rows; r += warps)

// Returns the smaller of a loss and a limit; NaN stays NaN.
DEVICE double limit_reported(double loss, double limit) {
    return loss > limit ? limit : loss;
}

// Computes a loss per output: `element(y, z, slope)` returns the loss and sets `slope` to its
// derivative. `factor` multiplies both. `limit` is the largest loss to report for an output, before
// the factor; it does not affect the error.
template <typename Element>
DEVICE void each_row(
    const REAL* z, REAL* e, const REAL* targets, const int64* order, const REAL* weights,
    const State* state, double* losses, int rows, int n, double factor, double limit,
    const Element& element) {
    FOR_ROWS(r) {
        const Row row = row_of(r, rows, order, weights, state);
        const REAL *own = z + r * (int64)n, *y = targets + row.sample * n;
        const double share = factor * (double)row.share;
        const REAL scale = (REAL)(state->scale * share);
        double loss = 0;
        for (int c = lane; c < n; c += 32) {
            REAL slope = 0;
            loss += limit_reported((double)element(y[c], own[c], slope), limit);
            e[r * (int64)n + c] = scale * slope;
        }
        loss = warp_sum(loss);
        if (lane == 0) losses[r] = share * loss;
    }
}
