// 512 bits with masks.
#define DUSNET_LEVEL avx512
#define DUSNET_LANE_BYTES 64
#define DUSNET_TARGET "avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512"

#include "simd/for_target.h"
