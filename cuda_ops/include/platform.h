// What differs between the compilers that read the shared headers.
#pragma once

#if defined(__CUDACC__)
#define DUSNET_SHARED __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define DUSNET_SHARED inline __attribute__((always_inline))
#else
#define DUSNET_SHARED inline
#endif
