// CUDA on the CPU, for tests: the parts of CUDA that kernels.cu uses, in C++20. Included before the
// kernels.
//
// Each CUDA thread is a fiber, with its own stack, on a single thread of the machine. A fiber runs
// until it must wait for others, at a barrier, a shuffle or a ballot; then the next fiber runs. The
// blocks of a grid run one after another. What would hang a GPU is an error here: threads that meet
// at different barriers, or not all of them at one.
//
// Under ThreadSanitizer each fiber counts as a thread, ordered with the other fibers of its block
// only by __syncthreads(): shuffles, ballots and atomics order nothing, as in CUDA, and blocks are
// unordered, except if they are 1,024 threads apart. So a race is reported even if it did no harm
// in this run. Under AddressSanitizer, arrays on fibers' stacks and in shared memory are checked
// like others.
//
// Differences from a GPU: the memory is the CPU's, so whether a load is from constant or aligned
// memory is not checked; and exp, log, ... are those of the C library, which differ in the last
// bits.

#ifndef SIMT_H
#define SIMT_H
#define SIMT_EMULATED

#include <math.h>  // and not <cmath>: exp and its like for float, too, without `std::`
#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <source_location>
#include <vector>

#if !defined(__x86_64__) || defined(SIMT_UCONTEXT)
#include <ucontext.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint3 {
    unsigned x, y, z;
};
using dim3 = uint3;

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;

namespace simt {

constexpr unsigned warp_size = 32, most_threads = 1024;
constexpr std::size_t most_shared = 48 * 1024;
constexpr std::size_t most_known = 1024;  // each costs ThreadSanitizer almost 1 MB

#ifdef __SANITIZE_THREAD__
// While an object of this type exists, ThreadSanitizer ignores this file's reads and writes.
struct Unseen {
    Unseen() {
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    }
    ~Unseen() {
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    }
};
#else
struct Unseen {
    Unseen() {}
};
#endif

// ---- switching between stacks

// Marks a function in which a fiber ends, so that it never returns. ThreadSanitizer must not keep
// it on the call stack of the fiber, which is reused.
#define UNCOUNTED __attribute__((no_sanitize("thread")))

#if defined(__x86_64__) && !defined(SIMT_UCONTEXT)

// By hand, since swapcontext() makes a system call at each switch, which takes 100 times as long.
// It pushes the callee-saved registers and exchanges the stack pointers.
extern "C" __attribute__((visibility("hidden"))) void simt_switch(void** from, void* to);
asm(R"(
    .text
    .type simt_switch, @function
simt_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size simt_switch, .-simt_switch
)");

struct Context {
    void* top = nullptr;

    void begin_at(void (*entry)(), char* stack, std::size_t size) {
        void** word = reinterpret_cast<void**>(stack + size);
        *--word = nullptr;  // the return address of `entry`
        *--word = reinterpret_cast<void*>(entry);
        for (int k = 0; k < 6; ++k) *--word = nullptr;
        top = word;
    }
    UNCOUNTED void switch_to(Context& other) { simt_switch(&top, other.top); }
};

#else

struct Context {
    ucontext_t kept;

    void begin_at(void (*entry)(), char* stack, std::size_t size) {
        getcontext(&kept);
        kept.uc_stack.ss_sp = stack;
        kept.uc_stack.ss_size = size;
        kept.uc_link = nullptr;
        makecontext(&kept, entry, 0);
    }
    UNCOUNTED void switch_to(Context& other) { swapcontext(&kept, &other.kept); }
};

#endif

// ---- which threads wait for which

// A group of threads that meet: a block or a warp.
struct Group {
    const char* what = "";
    unsigned size = 0, arrived = 0, ended = 0, round = 0;
    std::source_location where = {};         // where they wait, if some have arrived
    unsigned long long slots[2][warp_size] = {};  // exchanged values, in even and in odd rounds
};

struct Fiber {
    Context context;
    char* stack = nullptr;
    bool ended = false;
    const Group* meeting = nullptr;  // the group that it waits for, until after round `round`
    unsigned round = 0;
    void* for_sanitizer = nullptr;

    bool waits() const { return meeting && meeting->round == round; }
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t stack_size = 256 * 1024;
#else
constexpr std::size_t stack_size = 64 * 1024;
#endif
constexpr std::size_t guard_size = 4096;  // a protected page below each stack

struct Machine {
    std::vector<Fiber> fibers{most_threads};
    std::vector<Group> warps{most_threads / warp_size};
    Group block;
    Fiber* running = nullptr;
    Context host;
    void* host_for_sanitizer = nullptr;
    const void* host_stack = nullptr;
    std::size_t host_stack_size = 0;
    const char* kernel = "";
    const std::function<void()>* body = nullptr;
    unsigned long long blocks = 0;  // blocks run so far
    char error[512] = "";

    char* stacks = nullptr;  // of all fibers needed so far
    unsigned n_stacks = 0;

    // For ThreadSanitizer: the block's shared memory, and the bytes of it in use. The addresses of
    // the first words stand for the rounds of __syncthreads().
    char* shared = nullptr;
    std::size_t reserved = 16;
    // For ThreadSanitizer: the fibers, which are reused from block to block. It regards blocks with
    // the same fibers as ordered.
    std::vector<void*> known;
    std::size_t begun = 0;  // threads started in this launch
    unsigned long long first = 0, last = 0;  // their addresses stand for a launch's begin and end
};

inline Machine machine;

inline char* mapped(std::size_t size) {
    void* memory =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        std::perror("simt.h: mmap");
        std::abort();
    }
    return static_cast<char*>(memory);
}

inline void drop_stacks() {
    if (machine.stacks) munmap(machine.stacks, machine.n_stacks * (guard_size + stack_size));
    machine.stacks = nullptr;
    machine.n_stacks = 0;
}

inline void have_stacks(unsigned n) {
    if (n <= machine.n_stacks) return;
    drop_stacks();
    machine.stacks = mapped(n * (guard_size + stack_size));
    machine.n_stacks = n;
    for (unsigned k = 0; k < n; ++k) {
        char* guard = machine.stacks + k * (guard_size + stack_size);
        mprotect(guard, guard_size, PROT_NONE);
        machine.fibers[k].stack = guard + guard_size;
    }
}

inline void switch_to_fiber(Fiber& fiber) {
    machine.running = &fiber;
#ifdef __SANITIZE_ADDRESS__
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, fiber.stack, stack_size);
#endif
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(fiber.for_sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
    machine.host.switch_to(fiber.context);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

UNCOUNTED inline void switch_to_host() {
    Fiber& fiber = *machine.running;
#ifdef __SANITIZE_ADDRESS__
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(
        fiber.ended ? nullptr : &fake, machine.host_stack, machine.host_stack_size);
#endif
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(machine.host_for_sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
    fiber.context.switch_to(machine.host);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake, &machine.host_stack, &machine.host_stack_size);
#endif
}

__attribute__((format(printf, 1, 2))) inline void describe(const char* format, ...) {
    std::size_t start = std::strlen(machine.error);
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(machine.error + start, sizeof machine.error - start, format, arguments);
    va_end(arguments);
}

inline void begin_error() {
    describe(
        "%s, block (%u, %u), thread %u: ", machine.kernel, blockIdx.x, blockIdx.y, threadIdx.x);
}

inline const char* file_of(const std::source_location& where) {
    const char* slash = std::strrchr(where.file_name(), '/');
    return slash ? slash + 1 : where.file_name();
}

// Abandons the launch: the host gets the error and leaves the fibers as they are.
[[noreturn]] inline void give_up() {
    switch_to_host();
    std::abort();  // unreachable: no fiber runs after an error
}

// The running thread arrives at a barrier or shuffle of its group, and waits for all others.
inline void meet(Group& group, const char* what, const std::source_location& where) {
    if (group.ended) {
        begin_error();
        describe(
            "it waits at %s (%s:%u), but %u of the %u threads of its %s have returned from the"
            " kernel",
            what, file_of(where), where.line(), group.ended, group.size, group.what);
        give_up();
    }
    if (group.arrived &&
        (group.where.line() != where.line() || group.where.column() != where.column())) {
        begin_error();
        describe(
            "it waits at %s (%s:%u), but other threads of its %s at line %u", what,
            file_of(where), where.line(), group.what, group.where.line());
        give_up();
    }
    group.where = where;
    if (++group.arrived == group.size) {
        group.arrived = 0;
        ++group.round;
        return;
    }
    machine.running->meeting = &group;
    machine.running->round = group.round;
    switch_to_host();
    machine.running->meeting = nullptr;
}

// The running thread returns from the kernel.
inline void leave(Group& group, const char* what) {
    if (group.arrived) {
        begin_error();
        describe(
            "it returns from the kernel, but %u of the %u threads of its %s wait at %s (%s:%u)",
            group.arrived, group.size, group.what, what, file_of(group.where),
            group.where.line());
        give_up();
    }
    ++group.ended;
}

// The entry point of each fiber, which never returns.
UNCOUNTED inline void run_thread() {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &machine.host_stack, &machine.host_stack_size);
#endif
#ifdef __SANITIZE_THREAD__
    __tsan_acquire(&machine.first);
#endif
    (*machine.body)();
#ifdef __SANITIZE_THREAD__
    __tsan_release(&machine.last);
#endif
    {
        Unseen unseen;
        leave(machine.warps[threadIdx.x / warp_size], "a shuffle");
        leave(machine.block, "__syncthreads");
        machine.running->ended = true;
    }
    switch_to_host();
    std::abort();  // unreachable: the fiber has ended
}

inline void begin_block(unsigned n) {
    ++machine.blocks;
    machine.block = {.what = "block", .size = n};
    for (unsigned w = 0; w < n / warp_size; ++w)
        machine.warps[w] = {.what = "warp", .size = warp_size};
#ifdef __SANITIZE_THREAD__
    // New memory for each block, so that earlier accesses do not count as races.
    drop_stacks();
    if (machine.shared) munmap(machine.shared, 16 * most_shared);
    machine.shared = mapped(16 * most_shared);
    std::memset(machine.shared, 0xff, 16 * most_shared);
#endif
    have_stacks(n);
    for (unsigned t = 0; t < n; ++t) {
        Fiber& fiber = machine.fibers[t];
        fiber.ended = false;
        fiber.meeting = nullptr;
#ifdef __SANITIZE_ADDRESS__
        __asan_unpoison_memory_region(fiber.stack, stack_size);  // of the fiber that ended there
#endif
        // Stacks that begin at the same offset in a page would compete for a few cache lines.
        fiber.context.begin_at(run_thread, fiber.stack, stack_size - t % 16 * 256);
#ifdef __SANITIZE_THREAD__
        char name[64];
        std::snprintf(name, sizeof name, "block (%u, %u), thread %u", blockIdx.x, blockIdx.y, t);
        const std::size_t place = machine.begun++ % most_known;
        if (place == machine.known.size()) machine.known.push_back(__tsan_create_fiber(0));
        fiber.for_sanitizer = machine.known[place];
        __tsan_set_fiber_name(fiber.for_sanitizer, name);
#endif
    }
}

// Some threads have not ended, and none of them can continue.
inline void report_standstill(unsigned n) {
    describe(
        "%s, block (%u, %u): no thread can go on:", machine.kernel, blockIdx.x, blockIdx.y);
    if (machine.block.arrived)
        describe(
            " %u threads of its block wait at line %u;", machine.block.arrived,
            machine.block.where.line());
    for (unsigned w = 0; w < n / warp_size; ++w)
        if (machine.warps[w].arrived)
            describe(
                " %u threads of its warp %u wait at line %u;", machine.warps[w].arrived, w,
                machine.warps[w].where.line());
}

inline void run_block(unsigned n) {
    for (unsigned left = n; left;) {
        bool moved = false;
        for (unsigned t = 0; t < n; ++t) {
            Fiber& fiber = machine.fibers[t];
            if (fiber.ended || fiber.waits()) continue;
            moved = true;
            threadIdx = {t, 0, 0};
            switch_to_fiber(fiber);
            if (machine.error[0]) return;
            left -= fiber.ended;
        }
        if (!moved) {
            report_standstill(n);
            return;
        }
    }
}

// Runs a kernel; returns nullptr, or an error message that is valid until the next launch.
[[nodiscard]] inline const char* launch(
    const char* kernel, unsigned grid_x, unsigned grid_y, unsigned block,
    const std::function<void()>& body) {
    machine.error[0] = 0;
    if (!grid_x || grid_x >> 31 || !grid_y || grid_y > 65535 || !block || block % warp_size ||
        block > most_threads) {
        describe("%s: a grid of %u, %u blocks of %u threads", kernel, grid_x, grid_y, block);
        return machine.error;
    }
    machine.kernel = kernel;
    machine.body = &body;
    {
        Unseen unseen;
#ifdef __SANITIZE_THREAD__
        machine.host_for_sanitizer = __tsan_get_current_fiber();
        machine.begun = 0;
        __tsan_release(&machine.first);
#endif
        gridDim = {grid_x, grid_y, 1};
        blockDim = {block, 1, 1};
        for (unsigned y = 0; y < grid_y && !machine.error[0]; ++y)
            for (unsigned x = 0; x < grid_x && !machine.error[0]; ++x) {
                blockIdx = {x, y, 0};
                begin_block(block);
                run_block(block);
            }
    }
#ifdef __SANITIZE_THREAD__
    __tsan_acquire(&machine.last);
#endif
    return machine.error[0] ? machine.error : nullptr;
}

// For programs that cannot handle an error.
inline void must(const char* error) {
    if (!error) return;
    std::fprintf(stderr, "%s\n", error);
    std::abort();
}

// An argument that converts to any pointer type.
struct Pointer {
    const void* address;

    template <typename T>
    operator T*() const {
        return static_cast<T*>(const_cast<void*>(address));
    }
};

// ---- shared memory: filled with 0xff (NaN) for each block, so that kernels cannot rely on it

#ifdef __SANITIZE_THREAD__

inline std::size_t reserve(std::size_t size) {
    const std::size_t start = machine.reserved;
    machine.reserved += (size + 15) / 16 * 16;
    if (size > most_shared || machine.reserved > 16 * most_shared) {
        std::fprintf(stderr, "simt.h: too much shared memory\n");
        std::abort();
    }
    return start;
}

#define SHARED(T, name, n)                                                                     \
    static const std::size_t name##_start = simt::reserve(sizeof(T) * (n));                    \
    T(&name)[n] = *reinterpret_cast<T(*)[n]>(simt::machine.shared + name##_start)

#else

inline void have_shared(void* memory, std::size_t size, unsigned long long& block) {
    if (block == machine.blocks) return;
    block = machine.blocks;
    std::memset(memory, 0xff, size);
}

// Separate arrays, so that AddressSanitizer knows their bounds.
#define SHARED(T, name, n)                                                                     \
    alignas(16) static T name[n];                                                              \
    static_assert(sizeof name <= simt::most_shared, "more shared memory than a block has");    \
    static unsigned long long name##_block = 0;                                                \
    simt::have_shared(name, sizeof name, name##_block)

#endif

}  // namespace simt

// ---- what kernels call

inline void __syncthreads(std::source_location where = std::source_location::current()) {
    simt::Group& block = simt::machine.block;
#ifdef __SANITIZE_THREAD__
    // Different addresses in even and odd rounds, so that threads one round ahead do not interfere.
    char* order;
    {
        simt::Unseen unseen;
        order = simt::machine.shared + (block.round & 1) * 8;
    }
    __tsan_release(order);
#endif
    {
        simt::Unseen unseen;
        simt::meet(block, "__syncthreads", where);
    }
#ifdef __SANITIZE_THREAD__
    __tsan_acquire(order);
#endif
}

template <typename T>
inline T __shfl_xor_sync(
    unsigned mask, T value, int offset,
    std::source_location where = std::source_location::current()) {
    static_assert(sizeof(T) <= sizeof(unsigned long long));
    simt::Unseen unseen;
    simt::Group& warp = simt::machine.warps[threadIdx.x / simt::warp_size];
    const unsigned lane = threadIdx.x % simt::warp_size, other = lane ^ (unsigned)offset;
    if (mask != 0xffffffffu || other >= simt::warp_size) {
        simt::begin_error();
        simt::describe(
            "__shfl_xor_sync (%s:%u) with mask %#x and offset %d", simt::file_of(where),
            where.line(), mask, offset);
        simt::give_up();
    }
    // Different slots in even and odd rounds, so that threads one round ahead overwrite nothing.
    unsigned long long(&slots)[simt::warp_size] = warp.slots[warp.round & 1];
    std::memcpy(&slots[lane], &value, sizeof value);
    simt::meet(warp, "__shfl_xor_sync", where);
    std::memcpy(&value, &slots[other], sizeof value);
    return value;
}

inline unsigned __ballot_sync(
    unsigned mask, int predicate, std::source_location where = std::source_location::current()) {
    simt::Unseen unseen;
    simt::Group& warp = simt::machine.warps[threadIdx.x / simt::warp_size];
    if (mask != 0xffffffffu) {
        simt::begin_error();
        simt::describe(
            "__ballot_sync (%s:%u) with mask %#x", simt::file_of(where), where.line(), mask);
        simt::give_up();
    }
    unsigned long long(&slots)[simt::warp_size] = warp.slots[warp.round & 1];
    slots[threadIdx.x % simt::warp_size] = predicate != 0;
    simt::meet(warp, "__ballot_sync", where);
    unsigned ballot = 0;
    for (unsigned lane = 0; lane < simt::warp_size; ++lane) ballot |= (unsigned)slots[lane] << lane;
    return ballot;
}

inline int __ffs(unsigned bits) { return bits ? std::countr_zero(bits) + 1 : 0; }

template <typename T>
inline T atomicAdd(T* address, std::type_identity_t<T> value) {
    return std::atomic_ref<T>(*address).fetch_add(value, std::memory_order_relaxed);
}

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}

inline double __longlong_as_double(long long bits) {
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline float rsqrt(float x) { return 1 / sqrt(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }

#endif
