// The auction of the earth mover's distance on CUDA: everybody who holds nothing bids at once (Jacobi), a warp per bid.
// The highest bid for an object wins, equal ones by the lower index, so the result does not depend on the order in
// which threads run.
#include <cmath>
#include <limits>
#include <vector>

#include "common_cuda.h"

namespace dusnet {
namespace {

constexpr int kThreads = 256;
constexpr int kRounds = 16;  // between two looks at how many are left
constexpr int kNobody = 0x7fffffff;
constexpr double kScaling = 5.0;
using Bits = unsigned long long;

// One entry per point of the batch unless said otherwise. Objects and people are numbered within their cloud.
struct Market {
  const float* x;
  const float* y;
  DeviceLengths lengths;
  int batch;
  double* price;
  double* offer;    // the bid of a person
  Bits* highest;    // the bit pattern of the highest bid for an object
  int* winner;      // who made it
  int* wanted;      // the object of a person's bid
  int* holder;      // person of an object, -1: free
  int* holds;       // object of a person, -1: none
  int* list[2];     // who bids in this round and in the next
  int* left;        // (2) lengths of the lists
  Bits* bids;       // (batch)
  double* eps;      // (batch) of this phase; 0 where the cloud rests
  bool* converged;  // (batch)
  Bits most_bids;   // per point
};

__device__ inline Bits double_bits(double value) {
  Bits bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

struct Best {
  double first, second;
  int object;
};

__device__ inline Best merge(const Best& a, const Best& b) {
  const bool a_leads = a.first < b.first || (a.first == b.first && a.object < b.object);
  const Best &lead = a_leads ? a : b, &other = a_leads ? b : a;
  return {lead.first, lead.second < other.first ? lead.second : other.first, lead.object};
}

// The two cheapest objects for a person, found by a warp.
__device__ inline Best cheapest(const Market& m, int batch, int64_t person, int size) {
  const float* p = m.x + 3 * person;
  const int64_t base = static_cast<int64_t>(batch) * m.lengths.full;
  const double infinity = __longlong_as_double(0x7ff0000000000000ll);
  Best best{infinity, infinity, kNobody};
  for (int i = threadIdx.x % kWarp; i < size; i += kWarp) {
    const float* q = m.y + 3 * (base + i);
    const double squared = squared_distance<double>(p[0], p[1], p[2], q[0], q[1], q[2]);
    const double total = sum(sqrt(squared), m.price[base + i]);
    if (total < best.first) {
      best = {total, best.first, i};
    } else if (total < best.second) {
      best.second = total;
    }
  }
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const Best other{
        __shfl_xor_sync(kAllLanes, best.first, step), __shfl_xor_sync(kAllLanes, best.second, step),
        __shfl_xor_sync(kAllLanes, best.object, step)};
    best = merge(best, other);
  }
  return best;
}

__global__ void start_kernel(Market m) {
  const int64_t all = static_cast<int64_t>(m.batch) * m.lengths.full;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += step) {
    const int batch = static_cast<int>(i / m.lengths.full);
    if (m.eps[batch] == 0.0 || !m.converged[batch]) continue;
    m.holder[i] = m.holds[i] = -1;
    if (i % m.lengths.full < m.lengths(batch)) m.list[0][atomicAdd(&m.left[0], 1)] = static_cast<int>(i);
  }
}

__global__ void bid_kernel(Market m, int now) {
  if (blockIdx.x == 0 && threadIdx.x == 0) m.left[1 - now] = 0;
  const int warps = gridDim.x * blockDim.x / kWarp;
  for (int task = (blockIdx.x * blockDim.x + threadIdx.x) / kWarp; task < m.left[now]; task += warps) {
    const int64_t person = m.list[now][task];
    const int batch = static_cast<int>(person / m.lengths.full), size = m.lengths(batch);
    const int64_t base = static_cast<int64_t>(batch) * m.lengths.full;
    Best best{0.0, 0.0, kNobody};
    if (size == 1 || m.bids[batch] / size < m.most_bids) best = cheapest(m, batch, person, size);
    if (threadIdx.x % kWarp != 0) continue;
    m.wanted[person] = best.object;
    if (best.object == kNobody) {
      m.converged[batch] = false;
      continue;
    }
    const double margin = size > 1 ? best.second - best.first : 0.0;
    m.offer[person] = m.price[base + best.object] + margin + m.eps[batch];
    atomicMax(&m.highest[base + best.object], double_bits(m.offer[person]));
  }
}

__global__ void elect_kernel(Market m, int now) {
  const int threads = gridDim.x * blockDim.x;
  for (int task = blockIdx.x * blockDim.x + threadIdx.x; task < m.left[now]; task += threads) {
    const int64_t person = m.list[now][task];
    if (m.wanted[person] == kNobody) continue;
    const int batch = static_cast<int>(person / m.lengths.full);
    const int64_t object = static_cast<int64_t>(batch) * m.lengths.full + m.wanted[person];
    atomicAdd(&m.bids[batch], Bits{1});
    if (double_bits(m.offer[person]) == m.highest[object]) atomicMin(&m.winner[object], static_cast<int>(person));
  }
}

__global__ void award_kernel(Market m, int now) {
  const int threads = gridDim.x * blockDim.x;
  for (int task = blockIdx.x * blockDim.x + threadIdx.x; task < m.left[now]; task += threads) {
    const int person = m.list[now][task];
    if (m.wanted[person] == kNobody) continue;
    const int batch = person / m.lengths.full;
    const int64_t object = static_cast<int64_t>(batch) * m.lengths.full + m.wanted[person];
    int loser = person;
    if (m.winner[object] == person) {
      loser = m.holder[object];
      m.holder[object] = person;
      m.holds[person] = m.wanted[person];
      m.price[object] = m.offer[person];
      if (loser >= 0) m.holds[loser] = -1;
    }
    if (loser >= 0) m.list[1 - now][atomicAdd(&m.left[1 - now], 1)] = loser;
  }
}

__global__ void clear_kernel(Market m, int now) {
  const int threads = gridDim.x * blockDim.x;
  for (int task = blockIdx.x * blockDim.x + threadIdx.x; task < m.left[now]; task += threads) {
    const int person = m.list[now][task];
    if (m.wanted[person] == kNobody) continue;
    const int64_t object = static_cast<int64_t>(person / m.lengths.full) * m.lengths.full + m.wanted[person];
    m.highest[object] = 0;
    m.winner[object] = kNobody;
  }
}

__global__ void prepare_kernel(Market m, int64_t all) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < all; i += step) {
    m.price[i] = 0.0;
    m.highest[i] = 0;
    m.winner[i] = kNobody;
    m.holder[i] = m.holds[i] = -1;
    if (i < m.batch) m.bids[i] = 0, m.converged[i] = true;
  }
}

// One thread per cloud: what an interrupted auction left free is given away in the order of the indices.
__global__ void finish_kernel(Market m, int64_t* assignment) {
  const int batch = blockIdx.x * blockDim.x + threadIdx.x;
  if (batch >= m.batch) return;
  const int size = m.lengths(batch);
  const int64_t base = static_cast<int64_t>(batch) * m.lengths.full;
  int object = 0;
  for (int i = 0; i < size; ++i) {
    if (m.holds[base + i] < 0) {
      while (m.holder[base + object] >= 0) ++object;
      m.holder[base + object] = static_cast<int>(base + i);
      m.holds[base + i] = object;
    }
    assignment[base + i] = m.holds[base + i];
  }
}

// The diagonal of the box around both clouds, by one block each; not a number when a coordinate is none.
__global__ void diagonal_kernel(Market m) {
  __shared__ float shared[kThreads];
  const int batch = blockIdx.x, size = m.lengths(batch);
  const int64_t base = 3 * static_cast<int64_t>(batch) * m.lengths.full;
  double squared = 0.0;
  for (int axis = 0; axis < 3; ++axis) {
    double extent = 0.0;
    for (int side = 0; side < 2; ++side) {
      const float sign = side == 0 ? 1.0f : -1.0f;
      float most = -bits_float(kInfinityBits);
      for (int i = threadIdx.x; i < 2 * size; i += kThreads) {
        const float* cloud = i < size ? m.x : m.y;
        const float value = sign * cloud[base + 3 * (i % size) + axis];
        most = value > most ? value : most;
      }
      shared[threadIdx.x] = most;
      __syncthreads();
      for (int half = kThreads / 2; half > 0; half /= 2) {
        if (static_cast<int>(threadIdx.x) < half && shared[threadIdx.x + half] > shared[threadIdx.x]) {
          shared[threadIdx.x] = shared[threadIdx.x + half];
        }
        __syncthreads();
      }
      extent += shared[0];
      __syncthreads();
    }
    squared += extent * extent;
  }
  if (threadIdx.x == 0) m.eps[batch] = size > 0 ? sqrt(squared) : 0.0;
}

// Bids until nobody is left, looking only now and then, because a look makes the host wait.
void settle(const Market& m, int64_t all, Stream stream) {
  set_bytes(m.left, 0, 2 * sizeof(int), stream);
  DUSNET_LAUNCH(start_kernel, blocks_for(all, kThreads, 1024), kThreads, stream, m);
  int left[2] = {0, 0};
  copy_to_host(left, m.left, 2, stream);
  int now = 0;
  while (left[now] > 0) {
    const unsigned bidders = blocks_for(int64_t{left[now]} * kWarp, kThreads, 4096);
    const unsigned others = blocks_for(left[now], kThreads, 1024);
    for (int round = 0; round < kRounds; ++round) {
      DUSNET_LAUNCH(bid_kernel, bidders, kThreads, stream, m, now);
      DUSNET_LAUNCH(elect_kernel, others, kThreads, stream, m, now);
      DUSNET_LAUNCH(award_kernel, others, kThreads, stream, m, now);
      DUSNET_LAUNCH(clear_kernel, others, kThreads, stream, m, now);
      now = 1 - now;
    }
    copy_to_host(left, m.left, 2, stream);
  }
}

// The phases of every cloud end together, at eps; a small cloud starts in a later one.
std::vector<std::vector<double>> phases(const std::vector<double>& widest, double eps) {
  std::vector<std::vector<double>> steps;
  for (double step = eps;; step *= kScaling) {
    std::vector<double> here;
    bool any = steps.empty();
    for (const double width : widest) {
      const bool takes_part = steps.empty() || step < width / 2;
      here.push_back(takes_part ? step : 0.0);
      any = any || takes_part;
    }
    if (!any) break;
    steps.insert(steps.begin(), here);
  }
  return steps;
}

std::tuple<Tensor, Tensor> earth_movers_match(
    const Tensor& x, const Tensor& y, double eps, int64_t max_iter, const OptionalTensor& given) {
  check_pair(x, y);
  STD_TORCH_CHECK(x.size(1) == y.size(1), "expected two clouds of the same number of points");
  STD_TORCH_CHECK(eps > 0 && max_iter >= 1, "eps and max_iter must be positive");
  const int64_t batch = x.size(0), all = batch * x.size(1);
  STD_TORCH_CHECK(all < kNobody, "expected fewer than 2^31 points in all");
  const OnDevice device(x);
  const Stream stream = device.stream();
  const HeldLengths lengths(given, x);
  const Tensor held_x = torch::stable::contiguous(x), held_y = torch::stable::contiguous(y);
  Tensor assignment = torch::stable::new_empty(x, {batch, x.size(1)}, ScalarType::Long);
  Tensor converged = torch::stable::new_empty(x, {batch}, ScalarType::Bool);
  torch::stable::fill_(assignment, -1);
  if (all == 0) return {assignment, converged};
  const Workspace<double> doubles(x, 2 * all + batch);
  const Workspace<Bits> bits(x, all + batch);
  const Workspace<int> ints(x, 6 * all + 2);
  int* at = ints.get();
  const Market m{
      held_x.const_data_ptr<float>(),
      held_y.const_data_ptr<float>(),
      lengths.view(),
      static_cast<int>(batch),
      doubles.get(),
      doubles.get() + all,
      bits.get(),
      at,
      at + all,
      at + 2 * all,
      at + 3 * all,
      {at + 4 * all, at + 5 * all},
      at + 6 * all,
      bits.get() + all,
      doubles.get() + 2 * all,
      converged.mutable_data_ptr<bool>(),
      static_cast<Bits>(max_iter)};
  DUSNET_LAUNCH(prepare_kernel, blocks_for(all, kThreads, 1024), kThreads, stream, m, all);
  DUSNET_LAUNCH(diagonal_kernel, batch, kThreads, stream, m);
  std::vector<double> widest(batch);
  copy_to_host(widest.data(), m.eps, batch, stream);
  for (const std::vector<double>& step : phases(widest, eps)) {
    copy_to_device(m.eps, step.data(), batch, stream);
    settle(m, all, stream);
  }
  DUSNET_LAUNCH(finish_kernel, blocks_for(batch, 32), 32, stream, m, assignment.mutable_data_ptr<int64_t>());
  return {assignment, converged};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(dusnet, DUSNET_DEVICE, m) { m.impl("earth_movers_match", TORCH_BOX(&earth_movers_match)); }

}  // namespace dusnet
