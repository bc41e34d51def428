// 256 bits.
#define DUSNET_LEVEL avx2
#define DUSNET_LANE_BYTES 32
#define DUSNET_TARGET "avx2"

#include "simd/for_target.h"
