// Training steps on a GPU, except for the matrix products.
//
// This source has three uses: CuPy compiles it on a machine with a GPU, NVRTC alone compiles it in
// the tests, and in the tests a small header makes it run on the CPU. So it includes nothing, and
// uses only what that header supports: one-dimensional blocks of whole warps, barriers, shuffles
// and atomics. It is pure ASCII, since CuPy writes it to a file in the encoding of the locale.
//
// REAL is float or double, the type of the network. Matrices are stored row by row. Values that
// change from step to step are in a State on the device, which captured steps read at each replay.
// Sums over a batch are computed in double, or always in the same order, so that the same step
// gives the same bits; a comment marks the one exception.

#ifndef SIMT_EMULATED
#define SHARED(T, name, n) __shared__ T name[n]
#endif
#ifndef REAL
#define REAL float
#endif

#define KERNEL extern "C" __global__ void

typedef long long int64;
typedef unsigned long long uint64;

// Words of 64 bits; `kernels.py` has the same names in the same order.
struct State {
    int64 step;       // the step in this run, from 0
    int64 start;      // index of the batch's first sample in the order
    int64 update;     // the number of the update, from 1
    int64 batch;      // samples in a whole batch
    int64 skipped;    // whether the gradient has overflowed, so that nothing is updated
    int64 good;       // updates since the loss scale changed
    double rate;      // the learning rate
    double total;     // total weight of the batch's samples
    double scale;     // loss scale, so that float16 products do not underflow
    double factor;    // factor of the gradient, for clipping and for undoing the loss scale
    double hits;      // weight of this run's samples that were classified correctly
    double counted;   // weight of this run's samples that count
    int64 draws[20];  // number of masks that each dropout drew before this run
};

enum { LINEAR, RELU, LEAKY_RELU, RELU6, SIGMOID, TANH, KEPT };

// ---- reductions over threads

#define WARP 0xffffffffu

template <typename T>
static __device__ __forceinline__ T warp_sum(T value) {
    for (int offset = 16; offset; offset >>= 1) value += __shfl_xor_sync(WARP, value, offset);
    return value;
}

static __device__ __forceinline__ REAL warp_max(REAL value) {
    for (int offset = 16; offset; offset >>= 1) {
        const REAL other = __shfl_xor_sync(WARP, value, offset);
        value = other > value ? other : value;
    }
    return value;
}

// Returns the sum over a block, valid in its first thread; `shared` has a number for each warp.
static __device__ __forceinline__ double block_sum(double value, double* shared) {
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, warps = blockDim.x >> 5;
    value = warp_sum(value);
    __syncthreads();  // earlier reads of `shared` are done
    if (lane == 0) shared[warp] = value;
    __syncthreads();
    return warp == 0 ? warp_sum(lane < warps ? shared[lane] : 0.0) : 0.0;
}

static __device__ __forceinline__ int64 first_index() {
    return blockIdx.x * (int64)blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ int64 stride() { return gridDim.x * (int64)blockDim.x; }

// ---- before a step

KERNEL tick(State* state) {
    if (first_index() == 0) {
        state->step += 1;
        state->update += 1;
        state->start = state->step * state->batch;
    }
}

// One block: the total weight of the batch's samples.
KERNEL total_weight(const REAL* weights, const int64* order, State* state, int rows) {
    SHARED(double, shared, 32);
    double sum = 0;
    for (int r = threadIdx.x; r < rows; r += blockDim.x)
        sum += (double)weights[order[state->start + r]];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) state->total = sum;
}

KERNEL fill(REAL* x, int64 n, REAL value) {
    for (int64 i = first_index(); i < n; i += stride()) x[i] = value;
}

// ---- features: x = data[order], or (data[order] - mean) / scale. The rows of `split` are the
// mean's high part, its low part and the scale. The rows of `wide`, with which the kernel computes
// in double, are the mean and the scale. The unused one is null.

template <typename T>
static __device__ __forceinline__ void gather(
    const T* data, const int64* order, const State* state, REAL* x, int rows, int columns,
    const REAL* split, const double* wide) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= columns) return;
    for (int r = blockIdx.y; r < rows; r += gridDim.y) {
        const T given = data[order[state->start + r] * columns + c];
        REAL value = (REAL)given;
        if (split) value = ((value - split[c]) - split[columns + c]) / split[2 * columns + c];
        if (wide) value = (REAL)(((double)given - wide[c]) / wide[columns + c]);
        x[r * (int64)columns + c] = value;
    }
}

#define GATHER(name, T)                                                                      \
    KERNEL gather_##name(                                                                    \
        const T* data, const int64* order, const State* state, REAL* x, int rows, int columns, \
        const REAL* split, const double* wide) {                                             \
        gather(data, order, state, x, rows, columns, split, wide);                           \
    }

GATHER(bool, unsigned char)
GATHER(uint8, unsigned char)
GATHER(int8, signed char)
GATHER(uint16, unsigned short)
GATHER(int16, short)
GATHER(uint32, unsigned int)
GATHER(int32, int)
GATHER(uint64, uint64)
GATHER(int64, int64)
GATHER(float32, float)
GATHER(float64, double)

// ---- sparse features, in CSR format without duplicates

// One block per row: makes the row dense.
KERNEL csr_rows(
    const int64* starts, const int* indices, const REAL* values, const int64* order,
    const State* state, REAL* x, int rows, int columns) {
    for (int r = blockIdx.x; r < rows; r += gridDim.x) {
        REAL* row = x + r * (int64)columns;
        for (int c = threadIdx.x; c < columns; c += blockDim.x) row[c] = 0;
        __syncthreads();
        const int64 sample = order[state->start + r];
        for (int64 k = starts[sample] + threadIdx.x; k < starts[sample + 1]; k += blockDim.x)
            row[indices[k]] = values[k];
    }
}

// z = X W: one block for each row and each group of columns of W.
KERNEL csr_product(
    const int64* starts, const int* indices, const REAL* values, const int64* order,
    const State* state, const REAL* w, REAL* z, int rows, int n) {
    const int c = blockIdx.y * blockDim.x + threadIdx.x;
    for (int r = blockIdx.x; r < rows; r += gridDim.x) {
        const int64 sample = order[state->start + r], stop = starts[sample + 1];
        REAL sum = 0;
        if (c < n) {
            for (int64 k = starts[sample]; k < stop; ++k)
                sum += values[k] * w[indices[k] * (int64)n + c];
            z[r * (int64)n + c] = sum;
        }
    }
}

// g += X' e; g must be 0 before. The rows of the batch are added in any order, so the last bits
// differ from run to run.
KERNEL csr_gradient(
    const int64* starts, const int* indices, const REAL* values, const int64* order,
    const State* state, const REAL* e, REAL* g, int rows, int n) {
    const int c = blockIdx.y * blockDim.x + threadIdx.x;
    for (int r = blockIdx.x; r < rows; r += gridDim.x) {
        const int64 sample = order[state->start + r], stop = starts[sample + 1];
        if (c < n) {
            const REAL error = e[r * (int64)n + c];
            for (int64 k = starts[sample]; k < stop; ++k)
                atomicAdd(g + indices[k] * (int64)n + c, values[k] * error);
        }
    }
}

// ---- activations, forward and backward

// f'(z) from f(z). A sigmoid's derivative is kept in the forward pass, where both tails are exact.
static __device__ __forceinline__ REAL slope_of(REAL a, int kind, REAL number) {
    switch (kind) {
        case RELU: return a > 0 ? 1 : 0;
        case LEAKY_RELU: return a > 0 ? 1 : number;
        case RELU6: return a > 0 && a < 6 ? 1 : 0;
        case TANH: return 1 - a * a;
        default: return 1;
    }
}

// z becomes f(z + b), and `d`, if not null, f'(z + b). `number` is leaky ReLU's or sigmoid's slope.
KERNEL bias_activation(REAL* z, const REAL* b, REAL* d, int rows, int n, int kind, REAL number) {
    const unsigned total = (unsigned)rows * (unsigned)n;  // below 2**31: its remainder is cheap
    for (unsigned i = (unsigned)first_index(); i < total; i += (unsigned)stride()) {
        REAL value = z[i];
        if (b) value += b[i % (unsigned)n];
        REAL slope = 1;
        switch (kind) {
            case RELU: value = value < 0 ? 0 : value; break;  // NaN stays NaN
            case LEAKY_RELU: value = value > 0 ? value : number * value; break;
            case RELU6: value = value < 0 ? 0 : value > 6 ? 6 : value; break;
            case TANH: value = tanh(value); break;
            case SIGMOID: {
                value *= number;
                const REAL e = exp(-fabs(value));  // of numbers below 0 alone: no overflow
                slope = number * e / ((1 + e) * (1 + e));
                value = (value < 0 ? e : 1) / (1 + e);
                break;
            }
            default: break;
        }
        z[i] = value;
        if (d) d[i] = kind == SIGMOID ? slope : slope_of(value, kind, number);
    }
}

// e becomes e f', and `parts` gets its sums over each of gridDim.y groups of rows. `a` is the
// activation, or for KEPT the derivative. A block has 32 columns.
KERNEL back_activation(
    REAL* e, const REAL* a, REAL* parts, int rows, int n, int kind, REAL number) {
    SHARED(REAL, sums, 1024);
    const int lane = threadIdx.x & 31, group = threadIdx.x >> 5, groups = blockDim.x >> 5;
    const int c = blockIdx.x * 32 + lane;
    const int piece = (rows + gridDim.y - 1) / gridDim.y, first = blockIdx.y * piece;
    const int stop = first + piece < rows ? first + piece : rows;
    REAL sum = 0;
    if (c < n) {
        for (int r = first + group; r < stop; r += groups) {
            const int64 i = r * (int64)n + c;
            REAL value = e[i];
            if (kind != LINEAR) {
                value *= kind == KEPT ? a[i] : slope_of(a[i], kind, number);
                e[i] = value;
            }
            sum += value;
        }
    }
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (group == 0 && c < n) {
        for (int k = 1; k < groups; ++k) sum += sums[k * 32 + lane];
        parts[blockIdx.y * n + c] = sum;
    }
}

KERNEL sum_parts(const REAL* parts, REAL* out, int n_parts, int n) {
    for (int64 c = first_index(); c < n; c += stride()) {
        REAL sum = 0;
        for (int k = 0; k < n_parts; ++k) sum += parts[k * (int64)n + c];
        out[c] = sum;
    }
}

// ---- dropout: NumPy's Philox4x64-10 (Salmon et al. 2011), whose blocks give eight numbers each

struct Words {
    uint64 of[4];
};

static __device__ __forceinline__ Words philox(uint64 block, uint64 draw, uint64 key) {
    const uint64 m0 = 0xD2E7470EE14C6C93ull, m1 = 0xCA5A826395121157ull;
    uint64 c0 = block + 1, c1 = 0, c2 = 0, c3 = draw, k0 = key, k1 = 0;
    for (int round = 0; round < 10; ++round) {
        const uint64 high0 = __umul64hi(m0, c0), low0 = m0 * c0;
        const uint64 high1 = __umul64hi(m1, c2), low1 = m1 * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
    return Words{{c0, c1, c2, c3}};
}

// Returns 0 or 1 / (1 - rate), depending on number k of a block.
static __device__ __forceinline__ REAL mask_of(const Words& words, int k, REAL rate) {
    const uint64 bits = k & 1 ? words.of[k >> 1] >> 32 : words.of[k >> 1] & 0xffffffffull;
    const REAL drawn = (REAL)((float)(unsigned int)(bits >> 8) * (1.0f / 16777216.0f));
    return drawn >= rate ? (REAL)1 / ((REAL)1 - rate) : 0;
}

KERNEL dropout_mask(REAL* mask, uint64 key, uint64 draw, int64 n, REAL rate) {
    for (int64 block = first_index(); block * 8 < n; block += stride()) {
        const Words words = philox(block, draw, key);
#pragma unroll
        for (int k = 0; k < 8; ++k)
            if (block * 8 + k < n) mask[block * 8 + k] = mask_of(words, k, rate);
    }
}

// z becomes 0 or z / (1 - rate). `d` becomes the derivative of that and of the activation before
// it; for KEPT, `d` has the activation's derivative already.
KERNEL dropout(
    REAL* z, REAL* d, const State* state, int place, uint64 key, int64 n, REAL rate, int kind,
    REAL number) {
    const uint64 draw = (uint64)(state->draws[place] + state->step);
    for (int64 block = first_index(); block * 8 < n; block += stride()) {
        const Words words = philox(block, draw, key);
#pragma unroll
        for (int k = 0; k < 8; ++k) {
            const int64 i = block * 8 + k;
            if (i >= n) continue;
            const REAL mask = mask_of(words, k, rate);
            d[i] = mask * (kind == KEPT ? d[i] : slope_of(z[i], kind, number));
            z[i] *= mask;
        }
    }
}

// ---- batch normalization: each block has 32 columns, whose rows are divided among its threads

// Returns the sum of a column to all threads that work on it.
static __device__ __forceinline__ REAL column_total(REAL value, REAL* sums) {
    const int lane = threadIdx.x & 31, groups = blockDim.x >> 5;
    __syncthreads();
    sums[threadIdx.x] = value;
    __syncthreads();
    REAL total = 0;
    for (int k = 0; k < groups; ++k) total += sums[k * 32 + lane];
    return total;
}

// z becomes gamma (z + b - mean) / sqrt(variance + epsilon) + beta, and the running moments are
// updated by the batch's.
KERNEL batch_norm(
    REAL* z, const REAL* b, const REAL* gamma, const REAL* beta, REAL* normalized,
    REAL* deviation, REAL* running_mean, REAL* running_variance, int rows, int n, REAL momentum,
    REAL epsilon) {
    SHARED(REAL, sums, 1024);
    const int lane = threadIdx.x & 31, group = threadIdx.x >> 5, groups = blockDim.x >> 5;
    const int c = blockIdx.x * 32 + lane;
    const bool there = c < n;
    const REAL bias = b && there ? b[c] : 0;
    REAL sum = 0;
    for (int r = group; there && r < rows; r += groups) sum += z[r * (int64)n + c] + bias;
    const REAL mean = column_total(sum, sums) / rows;
    REAL squares = 0;
    for (int r = group; there && r < rows; r += groups) {
        const REAL centred = z[r * (int64)n + c] + bias - mean;
        squares += centred * centred;
    }
    const REAL variance = column_total(squares, sums) / rows;
    const REAL root = sqrt(variance + epsilon);
    for (int r = group; there && r < rows; r += groups) {
        const int64 i = r * (int64)n + c;
        const REAL value = (z[i] + bias - mean) / root;
        normalized[i] = value;
        z[i] = gamma[c] * value + beta[c];
    }
    if (group == 0 && there) {
        deviation[c] = root;
        if (rows > 1) {
            const REAL rest = 1 - momentum, unbiased = variance * ((REAL)rows / (REAL)(rows - 1));
            running_mean[c] = momentum * running_mean[c] + rest * mean;
            running_variance[c] = momentum * running_variance[c] + rest * unbiased;
        }
    }
}

// e becomes gamma (e - (sum(e) + x sum(e x)) / rows) / sqrt(variance + epsilon), where x is the
// normalized input.
KERNEL back_batch_norm(
    REAL* e, const REAL* normalized, const REAL* deviation, const REAL* gamma,
    REAL* gamma_gradient, REAL* beta_gradient, int rows, int n) {
    SHARED(REAL, sums, 1024);
    const int lane = threadIdx.x & 31, group = threadIdx.x >> 5, groups = blockDim.x >> 5;
    const int c = blockIdx.x * 32 + lane;
    const bool there = c < n;
    REAL sum = 0, products = 0;
    for (int r = group; there && r < rows; r += groups) {
        const int64 i = r * (int64)n + c;
        sum += e[i];
        products += e[i] * normalized[i];
    }
    sum = column_total(sum, sums);
    products = column_total(products, sums);
    if (!there) return;
    const REAL factor = gamma[c] / deviation[c];
    for (int r = group; r < rows; r += groups) {
        const int64 i = r * (int64)n + c;
        e[i] = factor * (e[i] - (sum + normalized[i] * products) / rows);
    }
    if (group == 0) {
        gamma_gradient[c] = products;
        beta_gradient[c] = sum;
    }
}

// ---- losses: one warp per row. The error is the derivative of the weighted mean of the samples'
//      losses, times the loss scale. `report` sums the samples' parts of the loss and of the hits.

struct Row {
    int64 sample;
    REAL share;  // the sample's share of the mean
    double weight;
};

static __device__ __forceinline__ Row row_of(
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

static __device__ __forceinline__ REAL row_max(const REAL* z, int n, int lane) {
    REAL most = z[0];
    for (int c = lane; c < n; c += 32) most = z[c] > most ? z[c] : most;
    return warp_max(most);
}

// Returns the column of a row's largest number, or the first column if there are several.
static __device__ __forceinline__ int row_argmax(const REAL* z, REAL most, int n, int lane) {
    int place = n;
    for (int c = lane; c < n && place == n; c += 32)
        if (z[c] == most) place = c;
    for (int offset = 16; offset; offset >>= 1) {
        const int other = __shfl_xor_sync(WARP, place, offset);
        place = other < place ? other : place;
    }
    return place;
}

// Returns the smaller of a loss and a limit; NaN stays NaN.
static __device__ __forceinline__ double at_most(double loss, double limit) {
    return loss > limit ? limit : loss;
}

// Cross-entropy of the softmax, for class labels; a label out of range has loss 0. `logs`, if not
// null, gets the log-probabilities of all samples of the run. `limit` is the largest loss reported
// for a sample; it does not change the error.
KERNEL softmax_classes(
    const REAL* z, REAL* e, const int64* labels, const int64* order, const REAL* weights,
    const State* state, double* losses, double* hits, REAL* logs, int rows, int n, double limit) {
    FOR_ROWS(r) {
        const Row row = row_of(r, rows, order, weights, state);
        const REAL *own = z + r * (int64)n, most = row_max(own, n, lane);
        REAL mass = 0;
        for (int c = lane; c < n; c += 32) mass += exp(own[c] - most);
        mass = warp_sum(mass);
        const int64 label = labels[row.sample];
        const bool known = label >= 0 && label < n;
        const REAL scale = (REAL)state->scale, share = known ? row.share : 0;
        const REAL log_mass = log(mass);
        for (int c = lane; c < n; c += 32) {
            const REAL part = exp(own[c] - most) / mass;
            e[r * (int64)n + c] = scale * share * (part - (c == label ? 1 : 0));
            if (logs) logs[(state->start + r) * n + c] = own[c] - most - log_mass;
        }
        const int guess = row_argmax(own, most, n, lane);
        if (lane == 0) {
            const REAL loss = known ? log_mass + (most - own[label]) : 0;
            losses[r] = (double)share * at_most(loss, limit);
            hits[r] = guess == label ? row.weight : 0;
        }
    }
}

// Cross-entropy of the softmax, for rows of class probabilities.
KERNEL softmax_rows(
    const REAL* z, REAL* e, const REAL* targets, const int64* order, const REAL* weights,
    const State* state, double* losses, double* hits, REAL* logs, int rows, int n, double limit) {
    FOR_ROWS(r) {
        const Row row = row_of(r, rows, order, weights, state);
        const REAL *own = z + r * (int64)n, *y = targets + row.sample * n;
        const REAL most = row_max(own, n, lane);
        REAL mass = 0, parts = 0;
        for (int c = lane; c < n; c += 32) {
            mass += exp(own[c] - most);
            parts += y[c];
        }
        mass = warp_sum(mass);
        parts = warp_sum(parts);
        const REAL log_mass = log(mass), scale = (REAL)state->scale * row.share;
        double loss = 0;
        for (int c = lane; c < n; c += 32) {
            const REAL log_part = own[c] - most - log_mass;
            if (y[c] != 0) loss -= (double)(y[c] * log_part);
            e[r * (int64)n + c] = scale * (exp(own[c] - most) / mass * parts - y[c]);
            if (logs) logs[(state->start + r) * n + c] = log_part;
        }
        loss = warp_sum(loss);
        const REAL right = row_max(y, n, lane);
        const int guess = row_argmax(own, most, n, lane), label = row_argmax(y, right, n, lane);
        if (lane == 0) {
            losses[r] = (double)row.share * at_most(loss, limit);
            hits[r] = guess == label ? row.weight : 0;
        }
    }
}

// Squared error, the mean over the columns, times a factor.
KERNEL squares(
    const REAL* z, REAL* e, const REAL* targets, const int64* order, const REAL* weights,
    const State* state, double* losses, int rows, int n, REAL factor) {
    FOR_ROWS(r) {
        const Row row = row_of(r, rows, order, weights, state);
        const REAL *own = z + r * (int64)n, *y = targets + row.sample * n;
        const REAL share = factor * row.share;
        const REAL scale = (REAL)state->scale * share * ((REAL)2 / n);
        REAL loss = 0;
        for (int c = lane; c < n; c += 32) {
            const REAL difference = own[c] - y[c];
            loss += difference * difference;
            e[r * (int64)n + c] = scale * difference;
        }
        loss = warp_sum(loss);
        if (lane == 0) losses[r] = (double)share * ((double)loss / n);
    }
}

// Binary cross-entropy of logits, the mean over the columns, times a factor. `limit` is the largest
// loss reported for one column.
KERNEL binary_logits(
    const REAL* z, REAL* e, const REAL* targets, const int64* order, const REAL* weights,
    const State* state, double* losses, int rows, int n, REAL factor, double limit) {
    FOR_ROWS(r) {
        const Row row = row_of(r, rows, order, weights, state);
        const REAL *own = z + r * (int64)n, *y = targets + row.sample * n;
        const REAL share = factor * row.share, scale = (REAL)state->scale * share / n;
        double loss = 0;
        for (int c = lane; c < n; c += 32) {
            const REAL value = own[c], tail = exp(-fabs(value));
            loss += at_most((value < 0 ? 0 : value) - y[c] * value + log1p(tail), limit);
            e[r * (int64)n + c] = scale * ((value < 0 ? tail : 1) / (1 + tail) - y[c]);
        }
        loss = warp_sum(loss);
        if (lane == 0) losses[r] = (double)share * (loss / n);
    }
}

// Binary cross-entropy of probabilities, times a factor. Below epsilon^2, log p continues as its
// tangent; so does log(1 - p) where 1 - p is below epsilon.
KERNEL binary_probabilities(
    const REAL* z, REAL* e, const REAL* targets, const int64* order, const REAL* weights,
    const State* state, double* losses, int rows, int n, REAL factor, REAL epsilon) {
    const REAL least = epsilon * epsilon;
    FOR_ROWS(r) {
        const Row row = row_of(r, rows, order, weights, state);
        const REAL *own = z + r * (int64)n, *y = targets + row.sample * n;
        const REAL share = factor * row.share, scale = (REAL)state->scale * share / n;
        double loss = 0;
        for (int c = lane; c < n; c += 32) {
            const REAL p = own[c], q = 1 - p, yes = y[c];
            const REAL most_p = p < least ? least : p, most_q = q < epsilon ? epsilon : q;
            const REAL log_p = log(most_p) + ((p < least ? p : least) / least - 1);
            const REAL log_q = log(most_q) + ((q < epsilon ? q : epsilon) / epsilon - 1);
            loss -= (double)(yes * log_p + (1 - yes) * log_q);
            e[r * (int64)n + c] = scale * ((1 - yes) / most_q - yes / most_p);
        }
        loss = warp_sum(loss);
        if (lane == 0) losses[r] = (double)share * (loss / n);
    }
}

// One block: the step's loss, the total weight, and the hits, if they are counted.
KERNEL report(
    const double* row_losses, const double* row_hits, State* state, double* losses,
    double* totals, int rows, int weighted) {
    SHARED(double, shared, 32);
    double loss = 0, hits = 0;
    for (int r = threadIdx.x; r < rows; r += blockDim.x) {
        loss += row_losses[r];
        if (row_hits) hits += row_hits[r];
    }
    loss = block_sum(loss, shared);
    hits = block_sum(hits, shared);
    if (threadIdx.x == 0) {
        const double total = weighted ? state->total : rows;
        losses[state->step] = loss;
        totals[state->step] = total;
        state->hits += hits;
        state->counted += total;
    }
}

// Copies the batch's outputs to those of the run.
KERNEL keep_outputs(const REAL* z, REAL* kept, const State* state, int rows, int n) {
    const int64 total = rows * (int64)n;
    for (int64 i = first_index(); i < total; i += stride()) kept[state->start * n + i] = z[i];
}

// ---- penalties and clipping of the gradient

// Adds the derivative of l1 sum|w| + l2 sum(w^2) to g, times the loss scale. If `weighted`, the
// batch's samples share the penalty: it is divided by their total weight, and is 0 if that is 0.
KERNEL penalize(
    REAL* g, const REAL* w, const State* state, int64 n, REAL l1, REAL l2, int weighted) {
    REAL scale = (REAL)state->scale;
    if (weighted) scale = state->total > 0 ? scale / (REAL)state->total : 0;
    for (int64 i = first_index(); i < n; i += stride()) {
        const REAL sign = w[i] > 0 ? 1 : w[i] < 0 ? -1 : 0;
        g[i] += scale * (l1 * sign + 2 * l2 * w[i]);
    }
}

// If the loss is scaled, numbers that are not finite are left for `judge` to find.
KERNEL clip_values(REAL* g, const State* state, int64 n, REAL most, int scaled) {
    const REAL scale = (REAL)state->scale, limit = most * scale;
    for (int64 i = first_index(); i < n; i += stride()) {
        const REAL value = g[i];
        if (scaled && !isfinite(value)) continue;
        g[i] = value > limit ? limit : value < -limit ? -limit : value;
    }
}

// The sum of g^2; each block writes one part.
KERNEL square_sum(const REAL* g, double* parts, int64 n) {
    SHARED(double, shared, 32);
    double sum = 0;
    for (int64 i = first_index(); i < n; i += stride()) sum += (double)g[i] * (double)g[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// One block: the factor of the gradient. `most` is the largest norm allowed, or 0 for no limit. If
// the loss is scaled, an update whose gradient is not finite is skipped and the scale is halved;
// after 2,000 finite ones, the scale is doubled.
KERNEL judge(const double* parts, State* state, int n_parts, double most, int scaled) {
    SHARED(double, shared, 32);
    double sum = 0;
    for (int k = threadIdx.x; k < n_parts; k += blockDim.x) sum += parts[k];
    sum = block_sum(sum, shared);
    if (threadIdx.x != 0) return;
    const double scale = state->scale, norm = sqrt(sum) / scale;
    state->factor = 1 / scale;
    if (most > 0 && norm > most) state->factor *= most / norm;
    if (!scaled) return;
    state->skipped = !isfinite(sum);
    state->good += 1;
    if (state->skipped) {
        state->update -= 1;
        state->good = 0;
        state->scale = scale > 1 ? scale / 2 : 1;
    } else if (state->good == 2000) {
        state->good = 0;
        state->scale = scale < 16777216 ? scale * 2 : scale;
    }
}

// ---- updates, by the formulas of ops.py. `decay` is AdamW's weight decay, otherwise 0.

KERNEL sgd(
    REAL* w, const REAL* g, REAL* v, const State* state, int64 n, REAL momentum, REAL part,
    int nesterov) {
    if (state->skipped) return;
    const REAL rate = (REAL)state->rate, factor = (REAL)state->factor;
    for (int64 i = first_index(); i < n; i += stride()) {
        const REAL gradient = factor * g[i], step = momentum * v[i] + part * gradient;
        v[i] = step;
        w[i] -= rate * (nesterov ? momentum * step + gradient : step);
    }
}

KERNEL rmsprop(
    REAL* w, const REAL* g, REAL* s, const State* state, int64 n, REAL rho, REAL rest,
    REAL epsilon) {
    if (state->skipped) return;
    const REAL rate = (REAL)state->rate, factor = (REAL)state->factor;
    for (int64 i = first_index(); i < n; i += stride()) {
        const REAL gradient = factor * g[i], mean = rho * s[i] + rest * gradient * gradient;
        s[i] = mean;
        w[i] -= rate * gradient / (sqrt(mean) + epsilon);
    }
}

KERNEL adagrad(REAL* w, const REAL* g, REAL* s, const State* state, int64 n, REAL epsilon) {
    if (state->skipped) return;
    const REAL rate = (REAL)state->rate, factor = (REAL)state->factor;
    for (int64 i = first_index(); i < n; i += stride()) {
        const REAL gradient = factor * g[i], sum = s[i] + gradient * gradient;
        s[i] = sum;
        w[i] -= rate * gradient / (sqrt(sum) + epsilon);
    }
}

// If `corrected`, epsilon is added to the bias-corrected sqrt(v). Otherwise it is added to sqrt(v)
// before the correction.
KERNEL adam(
    REAL* w, const REAL* g, REAL* m, REAL* v, const State* state, int64 n, double beta_1,
    double beta_2, double epsilon, double decay, int corrected) {
    SHARED(REAL, numbers, 4);
    if (state->skipped) return;
    if (threadIdx.x == 0) {  // once per block, since powers of doubles are slow on GPUs
        const double t = (double)state->update, rate = state->rate;
        const double unbias = 1 / sqrt(1 - pow(beta_2, t));
        numbers[0] = (REAL)(rate / (1 - pow(beta_1, t)));
        numbers[1] = (REAL)unbias;
        numbers[2] = (REAL)(1 - rate * decay);
        numbers[3] = (REAL)(corrected ? epsilon : unbias * epsilon);
    }
    __syncthreads();
    const REAL step = numbers[0], root = numbers[1], kept = numbers[2], eps = numbers[3];
    const REAL b1 = (REAL)beta_1, rest_1 = (REAL)(1 - beta_1), b2 = (REAL)beta_2;
    const REAL rest_2 = (REAL)(1 - beta_2), factor = (REAL)state->factor;
    for (int64 i = first_index(); i < n; i += stride()) {
        const REAL gradient = factor * g[i];
        const REAL first = b1 * m[i] + rest_1 * gradient;
        const REAL second = b2 * v[i] + rest_2 * gradient * gradient;
        m[i] = first;
        v[i] = second;
        w[i] = kept * w[i] - step * first / (root * sqrt(second) + eps);
    }
}
