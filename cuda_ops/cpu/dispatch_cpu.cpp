// Chooses the code for this processor once, when it is first needed.
#include <cstdlib>
#include <cstring>
#include <string>

#include "common_cpu.h"
#include "jobs.h"

namespace dusnet {

namespace baseline {
extern const Kernels kKernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}
#endif

namespace {

struct Level {
  const Kernels* kernels;
  bool runs;
};

const Kernels& choose() {
  const Level levels[] = {
#if defined(__x86_64__)
      {&avx512::kKernels,
       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl")},
      {&avx2::kKernels, static_cast<bool>(__builtin_cpu_supports("avx2"))},
#endif
      {&baseline::kKernels, true}};
  const char* asked = std::getenv("DUSNET_SIMD");
  const bool any = asked == nullptr || *asked == '\0' || std::strcmp(asked, "auto") == 0;
  for (const Level& level : levels) {
    if (level.runs && (any || std::strcmp(asked, level.kernels->name) == 0)) return *level.kernels;
  }
  STD_TORCH_CHECK(false, "this processor has no instruction set that the compiled ops call ", asked);
  return baseline::kKernels;
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

std::string simd_level() { return kernels().name; }

// Of the binary only: plain torch has no such choice.
STABLE_TORCH_LIBRARY_FRAGMENT(dusnet, m) { m.def("simd_level() -> str"); }

STABLE_TORCH_LIBRARY_IMPL(dusnet, CompositeExplicitAutograd, m) { m.impl("simd_level", TORCH_BOX(&simd_level)); }

}  // namespace dusnet
