// 256 bits. The target is set for this source's own code only: the headers before it are shared with the others.
#if defined(__x86_64__)
#include <cstdint>
#include <cstring>

#include <immintrin.h>

#include "jobs.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define DUSNET_LEVEL avx2
#define DUSNET_LEVEL_NAME "avx2"
#define DUSNET_LANE_BYTES 32

#include "simd/kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
