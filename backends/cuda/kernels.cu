// The kernels of a training step that are not generated from formulas. They follow `common.cuh`.

// ---- reductions over threads

DEVICE REAL warp_max(REAL value) {
    for (int offset = 16; offset; offset >>= 1) {
        const REAL other = __shfl_xor_sync(WARP, value, offset);
        value = other > value ? other : value;
    }
    return value;
}

// Returns the sum over a block, valid in its first thread; `shared` has one element per warp.
DEVICE double block_sum(double value, double* shared) {
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, warps = blockDim.x >> 5;
    value = warp_sum(value);
    __syncthreads();  // earlier reads of `shared` are done
    if (lane == 0) shared[warp] = value;
    __syncthreads();
    return warp == 0 ? warp_sum(lane < warps ? shared[lane] : 0.0) : 0.0;
}

// ---- before a step

// Begins a step. `controls` has three numbers per step: the learning rate, the weight of the new
// parameters in their running average, and whether an update follows.
KERNEL begin_step(State* state, const double* controls) {
    if (first_index() == 0) {
        state->step += 1;
        const double* own = controls + 3 * state->step;
        state->rate = own[0];
        state->average_weight = own[1];
        state->has_update = own[2] != 0;
        state->skipped = !state->has_update;
        state->update += state->has_update;
        state->start = state->step * state->batch;
    }
}

// Sets the total weight of the batch's samples; runs in one block.
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
// mean's high part, its low part and the scale. The rows of `wide` are the mean and the scale, for
// computing in double. At most one of the two is not null.

template <typename T>
DEVICE void gather(
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

// Converts rows to dense, one block per row.
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

// z = X W, one block per row and group of columns of W.
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

// g += X' e, where g must be 0 before. The rows of the batch are added in no fixed order, so the
// last bits differ from run to run.
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

// ---- embeddings. `columns` has five numbers for each column of the output: the corresponding
// column of the input; its number of categories, or 0 for a column that is copied; the length of
// the vectors; the offset, in the layer's parameter, of this column in the table's first vector;
// and the number of the table if a vector begins here, else -1.

// Sets z to vectors and copied columns. `codes`, if not null, gets the row of the vector for each
// table and each row of x. If `unknown` is not 0, each table has one more row, for numbers that are
// not codes. Otherwise their output is NaN, and their gradient is added to row 0.
KERNEL embed(
    const REAL* x, const REAL* w, const int64* columns, REAL* z, int* codes, int rows, int n_inputs,
    int n, int unknown) {
    const unsigned total = (unsigned)rows * (unsigned)n;
    for (unsigned i = (unsigned)first_index(); i < total; i += (unsigned)stride()) {
        const unsigned r = i / (unsigned)n;
        const int64* own = columns + 5 * (i - r * (unsigned)n);
        const int64 n_categories = own[1];
        REAL value = x[r * (int64)n_inputs + own[0]];
        if (n_categories) {
            const bool known = value >= 0 && value < (REAL)n_categories && value == floor(value);
            const int64 code = known ? (int64)value : unknown ? n_categories : 0;
            if (codes && own[4] >= 0) codes[own[4] * rows + r] = (int)code;
            value = known || unknown ? w[own[3] + code * own[2]] : (REAL)not_a_number();
        }
        z[i] = value;
    }
}

// Sets g, which must be 0 before, to the sum of the errors of each vector. `tables` has three
// numbers for each table: the length of its vectors, its offset in g, and the offset of its vectors
// in a row.
//
// There is one block for each code in the batch. A block returns if its code occurs earlier in the
// batch, so one block adds up all rows with the same code, in a fixed order, unlike atomicAdd. A
// block has at most eight warps, each of which handles every eighth group of 32 rows. A lane
// handles up to four columns, so that vectors of up to 128 elements need one search for the rows.
//
// The searches compare each code in the batch with each distinct code. That takes little time
// compared with the matrix products, unless a batch has many thousands of distinct codes per table.
KERNEL embedding_gradient(
    const REAL* e, const int* codes, const int64* tables, REAL* g, int rows, int n) {
    SHARED(int, before, 1);
    SHARED(REAL, sums, 1024);
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const int table = blockIdx.x / rows, place = blockIdx.x % rows;
    const int* all = codes + table * (int64)rows;
    const int64 width = tables[3 * table], first = tables[3 * table + 1];
    const int code = all[place];
    if (threadIdx.x == 0) before[0] = 0;
    __syncthreads();
    for (int start = 0; start < place; start += blockDim.x) {
        const int r = start + threadIdx.x;
        if (r < place && all[r] == code) atomicAdd(before, 1);
        __syncthreads();
        const bool leaves = before[0] > 0;
        __syncthreads();  // all threads read it before the next group of rows can change it
        if (leaves) return;
    }
    for (int64 c = lane; c - lane < width; c += 128) {
        REAL own[4] = {};
        for (int start = place + 32 * warp; start < rows; start += blockDim.x) {
            const int r = start + lane;
            unsigned found = __ballot_sync(WARP, r < rows && all[r] == code);
            for (; found; found &= found - 1) {
                const REAL* error = e + (start + __ffs(found) - 1) * (int64)n;
                error += tables[3 * table + 2] + c;
#pragma unroll
                for (int k = 0; k < 4; ++k)
                    if (c + 32 * k < width) own[k] += error[32 * k];
            }
        }
#pragma unroll
        for (int k = 0; k < 4; ++k) sums[128 * warp + 32 * k + lane] = own[k];
        __syncthreads();
        for (int k = threadIdx.x; k < 128 && c - lane + k < width; k += blockDim.x) {
            REAL sum = 0;
            for (int part = 0; part < (int)(blockDim.x >> 5); ++part) sum += sums[128 * part + k];
            g[first + code * width + c - lane + k] = sum;
        }
        __syncthreads();  // all threads have read the sums
    }
}

// ---- errors of layers; most activations have a generated kernel

// Sets `parts` to the sums of the columns of e; see `back_columns`.
KERNEL column_sums(const REAL* e, REAL* parts, int rows, int n) {
    back_columns(parts, rows, n, [&](int64 i) { return e[i]; });
}

// Sets e to e d, and `parts` to the sums of its columns.
KERNEL back_kept(REAL* e, const REAL* d, REAL* parts, int rows, int n) {
    back_columns(parts, rows, n, [&](int64 i) { return e[i] *= d[i]; });
}

KERNEL sum_parts(const REAL* parts, REAL* out, int n_parts, int n) {
    for (int64 c = first_index(); c < n; c += stride()) {
        REAL sum = 0;
        for (int k = 0; k < n_parts; ++k) sum += parts[k * (int64)n + c];
        out[c] = sum;
    }
}

// ---- dropout: NumPy's Philox4x64-10 (Salmon et al. 2011), which yields eight numbers per block

struct Words {
    uint64 of[4];
};

DEVICE Words philox(uint64 block, uint64 draw, uint64 key) {
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

// Returns the mask, 0 or 1 / (1 - rate), for number k of a block.
DEVICE REAL mask_of(const Words& words, int k, REAL rate) {
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

// Multiplies z by the mask, and also d, which becomes the derivative through the dropout.
KERNEL dropout(
    REAL* z, REAL* d, const State* state, int place, uint64 key, int64 n, REAL rate) {
    const uint64 draw = (uint64)(state->draws[place] + state->step);
    for (int64 block = first_index(); block * 8 < n; block += stride()) {
        const Words words = philox(block, draw, key);
#pragma unroll
        for (int k = 0; k < 8; ++k) {
            const int64 i = block * 8 + k;
            if (i >= n) continue;
            const REAL mask = mask_of(words, k, rate);
            d[i] *= mask;
            z[i] *= mask;
        }
    }
}

// ---- batch normalization: each block handles 32 columns and divides their rows among its threads

// Returns the sum of a column, to all threads that work on the column.
DEVICE REAL column_total(REAL value, REAL* sums) {
    const int lane = threadIdx.x & 31, groups = blockDim.x >> 5;
    __syncthreads();
    sums[threadIdx.x] = value;
    __syncthreads();
    REAL total = 0;
    for (int k = 0; k < groups; ++k) total += sums[k * 32 + lane];
    return total;
}

// Sets z to gamma (z + b - mean) / sqrt(variance + epsilon) + beta, and updates the running moments
// with the moments of the batch.
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

// Sets e to gamma (e - (sum(e) + x sum(e x)) / rows) / sqrt(variance + epsilon), where x is the
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

// Sets z to gamma (z + b - mean) / sqrt(variance + epsilon) + beta, with fixed moments.
KERNEL fixed_norm(
    REAL* z, const REAL* b, const REAL* gamma, const REAL* beta, const REAL* mean,
    const REAL* variance, int rows, int n, REAL epsilon) {
    const int64 total = rows * (int64)n;
    for (int64 i = first_index(); i < total; i += stride()) {
        const int c = i % n;
        const REAL bias = b ? b[c] : 0;
        z[i] = gamma[c] * ((z[i] + bias - mean[c]) / sqrt(variance[c] + epsilon)) + beta[c];
    }
}

// Sets e to gamma e / sqrt(variance + epsilon).
KERNEL back_fixed_norm(
    REAL* e, const REAL* gamma, const REAL* variance, int rows, int n, REAL epsilon) {
    const int64 total = rows * (int64)n;
    for (int64 i = first_index(); i < total; i += stride()) {
        const int c = i % n;
        e[i] *= gamma[c] / sqrt(variance[c] + epsilon);
    }
}

// ---- normalization of rows, one warp per row, and residual connections

// Sets z to gamma x, where x is z + b, normalised by rows; subtracts the mean if `centres`.
KERNEL row_norm(
    REAL* z, const REAL* b, const REAL* gamma, REAL* normalized, REAL* divisors, int rows, int n,
    int centres, REAL epsilon) {
    FOR_ROWS(r) {
        REAL *own = z + r * (int64)n, *x = normalized + r * (int64)n;
        double sum = 0;
        for (int c = lane; c < n; c += 32) {
            const REAL value = own[c] + (b ? b[c] : 0);
            x[c] = value;
            sum += value;
        }
        const REAL mean = centres ? (REAL)(warp_sum(sum) / n) : 0;
        double squares = 0;
        for (int c = lane; c < n; c += 32) {
            const REAL centred = x[c] - mean;
            squares += (double)centred * (double)centred;
        }
        const REAL divisor = (REAL)sqrt(warp_sum(squares) / n + (double)epsilon);
        for (int c = lane; c < n; c += 32) {
            const REAL value = (x[c] - mean) / divisor;
            x[c] = value;
            own[c] = gamma[c] * value;
        }
        if (lane == 0) divisors[r] = divisor;
    }
}

// Sets e to (g - mean(g) - x mean(g x)) / divisor, where g is gamma e and x the normalised row.
KERNEL back_row_norm(
    REAL* e, const REAL* normalized, const REAL* divisors, const REAL* gamma, int rows, int n,
    int centres) {
    FOR_ROWS(r) {
        REAL* own = e + r * (int64)n;
        const REAL* x = normalized + r * (int64)n;
        double sum = 0, products = 0;
        for (int c = lane; c < n; c += 32) {
            const REAL scaled = gamma[c] * own[c];
            sum += scaled;
            products += (double)scaled * (double)x[c];
        }
        const REAL mean = centres ? (REAL)(warp_sum(sum) / n) : 0;
        const REAL slope = (REAL)(warp_sum(products) / n);
        for (int c = lane; c < n; c += 32)
            own[c] = (gamma[c] * own[c] - mean - x[c] * slope) / divisors[r];
    }
}

// Sets `parts` to the sums of the columns of e x.
KERNEL product_sums(const REAL* e, const REAL* x, REAL* parts, int rows, int n) {
    back_columns(parts, rows, n, [&](int64 i) { return e[i] * x[i]; });
}

KERNEL add_to(REAL* x, const REAL* y, int64 n) {
    for (int64 i = first_index(); i < n; i += stride()) x[i] += y[i];
}

KERNEL copy_to(REAL* x, const REAL* y, int64 n) {
    for (int64 i = first_index(); i < n; i += stride()) x[i] = y[i];
}

// ---- losses that combine the outputs of a sample; see `Row`. Other losses are generated kernels.

DEVICE REAL row_max(const REAL* z, int n, int lane) {
    REAL most = z[0];
    for (int c = lane; c < n; c += 32) most = z[c] > most ? z[c] : most;
    return warp_max(most);
}

// Returns the first column with a row's largest number.
DEVICE int row_argmax(const REAL* z, REAL most, int n, int lane) {
    int place = n;
    for (int c = lane; c < n && place == n; c += 32)
        if (z[c] == most) place = c;
    for (int offset = 16; offset; offset >>= 1) {
        const int other = __shfl_xor_sync(WARP, place, offset);
        place = other < place ? other : place;
    }
    return place;
}

// Computes the softmax cross-entropy for class labels; a label out of range has loss 0. `logs`, if
// not null, gets the log-probabilities of all samples of the run. `limit` is the largest loss to
// report for a sample; it does not affect the error.
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
            losses[r] = (double)share * limit_reported(loss, limit);
            hits[r] = guess == label ? row.weight : 0;
        }
    }
}

// Computes the softmax cross-entropy for rows of class probabilities.
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
            losses[r] = (double)row.share * limit_reported(loss, limit);
            hits[r] = guess == label ? row.weight : 0;
        }
    }
}

// Sums the step's loss, total weight and, if counted, hits; runs in one block.
KERNEL reduce_losses(
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

// Copies the batch's outputs to the outputs of the run.
KERNEL keep_outputs(const REAL* z, REAL* kept, const State* state, int rows, int n) {
    const int64 total = rows * (int64)n;
    for (int64 i = first_index(); i < total; i += stride()) kept[state->start * n + i] = z[i];
}

// ---- gradient accumulation, and the average of the parameters

KERNEL count_batch(State* state, int rows, int weighted) {
    if (first_index() == 0) {
        state->batch_weight = weighted ? state->total : rows;
        state->first = state->waiting == 0;
        state->group_weight = state->first ? state->batch_weight : state->group_weight + state->batch_weight;
        state->waiting = state->has_update ? 0 : state->waiting + 1;
    }
}

// Adds g times the weight of its batch to a sum; before an update, sets g to the mean.
KERNEL accumulate(REAL* g, REAL* sums, const State* state, int64 n) {
    const REAL factor = (REAL)state->batch_weight;
    const REAL divisor = (REAL)(state->group_weight > 0 ? state->group_weight : 1);
    for (int64 i = first_index(); i < n; i += stride()) {
        const REAL part = factor * g[i], sum = state->first ? part : sums[i] + part;
        sums[i] = sum;
        if (state->has_update) g[i] = sum / divisor;
    }
}

KERNEL average(const REAL* w, REAL* mean, const State* state, int64 n) {
    const double share = state->average_weight;
    if (!state->has_update || share == 0) return;
    for (int64 i = first_index(); i < n; i += stride())
        mean[i] = share == 1 ? w[i] : mean[i] + (REAL)share * (w[i] - mean[i]);
}

// ---- gradient clipping. Penalties and updates are generated kernels.

// If the loss is scaled, numbers that are not finite are left to `unscale_and_clip`.
KERNEL clip_values(REAL* g, const State* state, int64 n, REAL most, int scaled) {
    const REAL scale = (REAL)state->scale, limit = most * scale;
    for (int64 i = first_index(); i < n; i += stride()) {
        const REAL value = g[i];
        if (scaled && !isfinite(value)) continue;
        g[i] = value > limit ? limit : value < -limit ? -limit : value;
    }
}

// Sums g^2; each block writes one part.
KERNEL square_sum(const REAL* g, double* parts, int64 n) {
    SHARED(double, shared, 32);
    double sum = 0;
    for (int64 i = first_index(); i < n; i += stride()) sum += (double)g[i] * (double)g[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// Sets the factor of the gradient; runs in one block. `most` is the largest norm allowed, or 0 for
// no limit. If the loss is scaled, an update whose gradient is not finite is skipped and the scale
// is halved; after 2,000 consecutive finite gradients, the scale is doubled.
KERNEL unscale_and_clip(const double* parts, State* state, int n_parts, double most, int scaled) {
    SHARED(double, shared, 32);
    double sum = 0;
    for (int k = threadIdx.x; k < n_parts; k += blockDim.x) sum += parts[k];
    sum = block_sum(sum, shared);
    if (threadIdx.x != 0 || !state->has_update) return;
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
