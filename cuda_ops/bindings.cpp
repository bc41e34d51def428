// The schemas of torch.ops.dusnet. dusnet/ops/schemas.py holds the same text for installations without a binary.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(dusnet, m) {
  m.def("farthest_point_sample(Tensor points, int k, int start, Tensor? lengths) -> Tensor");
  m.def("build_index(Tensor points, Tensor? lengths) -> Tensor");
  m.def(
      "knn(Tensor query, Tensor points, int k, Tensor? query_lengths, Tensor? lengths, Tensor? index)"
      " -> (Tensor, Tensor)");
  m.def(
      "ball_query(Tensor query, Tensor points, float radius, int k, Tensor? query_lengths, Tensor? lengths,"
      " Tensor? index) -> (Tensor, Tensor)");
  m.def("three_interpolate(Tensor features, Tensor index, Tensor weights) -> Tensor");
  m.def("scatter_sum(Tensor values, Tensor index, int size) -> Tensor");
  m.def("earth_movers_match(Tensor x, Tensor y, float eps, int max_iter, Tensor? lengths) -> (Tensor, Tensor)");
}
