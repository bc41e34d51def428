// Compiles the kernels for DUSNET_TARGET, in 64-bit x86 code only. The target is set for this source's own code: the
// headers before it are shared with the others.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "jobs.h"

#define DUSNET_PRAGMA(text) _Pragma(#text)

#if defined(__clang__)
#define DUSNET_FOR(target_) DUSNET_PRAGMA(clang attribute push(__attribute__((target(target_))), apply_to = function))
#define DUSNET_FOR_ALL DUSNET_PRAGMA(clang attribute pop)
#else
#define DUSNET_FOR(target_) DUSNET_PRAGMA(GCC push_options) DUSNET_PRAGMA(GCC target(target_))
#define DUSNET_FOR_ALL DUSNET_PRAGMA(GCC pop_options)
#endif

DUSNET_FOR(DUSNET_TARGET)
#include "kernels.h"
DUSNET_FOR_ALL
#endif
