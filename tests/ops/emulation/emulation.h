// Runs the CUDA sources as host C++: a fiber per thread, blocks one after another, barriers and shuffles that yield.
// It shows wrong indices and wrong logic; it cannot show data races, divergence or launch-limit errors.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(threads)
#define DUSNET_DEVICE CPU
#define DUSNET_LAUNCH(kernel, blocks, threads, stream, ...) \
  dusnet_emulation::launch(blocks, threads, [&] { kernel(__VA_ARGS__); })

struct dim3 {
  unsigned x, y, z;
  dim3(int64_t x_ = 1, int64_t y_ = 1, int64_t z_ = 1)
      : x(static_cast<unsigned>(x_)), y(static_cast<unsigned>(y_)), z(static_cast<unsigned>(z_)) {}
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace dusnet_emulation {

constexpr int kWarp = 32;
constexpr size_t kStack = 96 * 1024;

// Everybody who is alive must arrive before anybody leaves.
struct Barrier {
  int members = 0, arrived = 0;
  uint64_t generation = 0;

  void arrive() {
    if (++arrived >= members) arrived = 0, ++generation;
  }
  void leave() {
    --members;
    if (members > 0 && arrived >= members) arrived = 0, ++generation;
  }
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  const Barrier* waits_for = nullptr;
  uint64_t seen = 0;
  bool alive = false;
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<Barrier> warps;
  Barrier all;
  ucontext_t scheduler;
  std::vector<uint64_t> slots;
  int current = 0;
  const std::function<void()>* body = nullptr;
};

inline Block& block() {
  static Block only;
  return only;
}

inline void wait(Barrier& barrier) {
  Block& b = block();
  Fiber& fiber = b.fibers[b.current];
  fiber.seen = barrier.generation;
  fiber.waits_for = &barrier;
  barrier.arrive();
  if (barrier.generation == fiber.seen) swapcontext(&fiber.context, &b.scheduler);
  fiber.waits_for = nullptr;
}

inline void entry() {
  Block& b = block();
  (*b.body)();
  b.fibers[b.current].alive = false;
  b.all.leave();
  b.warps[b.current / kWarp].leave();
  swapcontext(&b.fibers[b.current].context, &b.scheduler);
}

inline void run_block(int threads, const std::function<void()>& body) {
  Block& b = block();
  b.body = &body;
  if (static_cast<int>(b.fibers.size()) < threads) b.fibers.resize(threads);
  b.slots.assign(threads, 0);
  b.warps.assign((threads + kWarp - 1) / kWarp, Barrier{});
  b.all = Barrier{threads};
  for (int t = 0; t < threads; ++t) {
    Fiber& fiber = b.fibers[t];
    if (!fiber.stack) fiber.stack.reset(new char[kStack]);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, entry, 0);
    fiber.alive = true;
    fiber.waits_for = nullptr;
    ++b.warps[t / kWarp].members;
  }
  for (int left = threads; left > 0;) {
    bool moved = false;
    for (int t = 0; t < threads; ++t) {
      Fiber& fiber = b.fibers[t];
      if (!fiber.alive || (fiber.waits_for != nullptr && fiber.waits_for->generation == fiber.seen)) continue;
      b.current = t;
      threadIdx = dim3(t);
      swapcontext(&b.scheduler, &fiber.context);
      moved = true;
      if (!fiber.alive) --left;
    }
    if (!moved) throw std::runtime_error("emulated block is deadlocked: not all threads reach a barrier");
  }
}

inline void launch(dim3 blocks, dim3 threads, const std::function<void()>& body) {
  gridDim = blocks;
  blockDim = threads;
  for (unsigned y = 0; y < blocks.y; ++y) {
    for (unsigned x = 0; x < blocks.x; ++x) {
      blockIdx = dim3(x, y);
      run_block(static_cast<int>(threads.x), body);
    }
  }
}

template <typename T>
T exchange(T value, int source) {
  Block& b = block();
  const int own = b.current;
  std::memcpy(&b.slots[own], &value, sizeof(T));
  wait(b.warps[own / kWarp]);
  T other;
  std::memcpy(&other, &b.slots[source], sizeof(T));
  wait(b.warps[own / kWarp]);
  return other;
}

}  // namespace dusnet_emulation

// A fiber that was resumed must see its own thread index again.
inline void __syncthreads() {
  const dim3 own = threadIdx;
  dusnet_emulation::wait(dusnet_emulation::block().all);
  threadIdx = own;
}

template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  const dim3 own = threadIdx;
  const T other = dusnet_emulation::exchange(value, static_cast<int>(threadIdx.x) ^ mask);
  threadIdx = own;
  return other;
}

template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
  const dim3 own = threadIdx;
  const T other = dusnet_emulation::exchange(value, static_cast<int>(threadIdx.x) / 32 * 32 + lane);
  threadIdx = own;
  return other;
}

inline int __ffs(int value) { return __builtin_ffs(value); }

inline unsigned __ballot_sync(unsigned, bool value) {
  unsigned ballot = 0;
  const int first = static_cast<int>(threadIdx.x) / 32 * 32, lane = static_cast<int>(threadIdx.x) % 32;
  for (int step = 0; step < 32; ++step) {
    const int source = lane ^ step;
    const dim3 own = threadIdx;
    const bool other = dusnet_emulation::exchange(value, first + source);
    threadIdx = own;
    ballot |= static_cast<unsigned>(other) << source;
  }
  return ballot;
}

inline int __popc(unsigned value) { return __builtin_popcount(value); }

inline double __longlong_as_double(long long bits) {
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

template <typename T, typename U>
T atomicAdd(T* at, U value) {
  const T before = *at;
  *at = before + static_cast<T>(value);
  return before;
}

template <typename T>
T atomicMax(T* at, T value) {
  const T before = *at;
  *at = std::max(before, value);
  return before;
}

template <typename T>
T atomicMin(T* at, T value) {
  const T before = *at;
  *at = std::min(before, value);
  return before;
}

namespace dusnet {

using Stream = int;

class OnDevice {
 public:
  explicit OnDevice(const torch::stable::Tensor&) {}
  Stream stream() const { return 0; }
};

template <typename T>
void copy_to_host(T* to, const T* from, int64_t count, Stream) {
  std::copy(from, from + count, to);
}

template <typename T>
void copy_to_device(T* to, const T* from, int64_t count, Stream) {
  std::copy(from, from + count, to);
}

inline void set_bytes(void* to, int value, int64_t bytes, Stream) { std::memset(to, value, bytes); }

inline void sort_pairs(
    const torch::stable::Tensor&, const uint64_t* keys, uint64_t* sorted_keys, const uint32_t* values,
    uint32_t* sorted_values, int64_t count, Stream) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return keys[a] < keys[b]; });
  for (int64_t i = 0; i < count; ++i) {
    sorted_keys[i] = keys[order[i]];
    sorted_values[i] = values[order[i]];
  }
}

}  // namespace dusnet
