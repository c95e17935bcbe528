// One operation of one rank, with inputs that all ranks know and the result that there must be, to the bit.
#pragma once

#include <optional>
#include <string>

#include "comm/testing/world.hpp"

namespace flagos::comm::testing {

enum class Op {
  all_reduce,
  reduce,
  reduce_scatter,
  reduce_scatter_v,
  scan,
  exclusive_scan,
  broadcast,
  all_gather,
  all_gather_v,
  gather,
  gather_v,
  scatter,
  scatter_v,
  all_to_all,
  all_to_all_v,
  barrier,
  ring,  // each rank sends to the next one, in a group
  count
};
const char* name_of(Op op);
bool reduces(Op op);

struct Case {
  Op op = Op::all_reduce;
  flagos_dtype_t dtype = FLAGOS_DTYPE_FLOAT32;
  flagos_comm_reduction_t reduction = FLAGOS_COMM_REDUCTION_SUM;
  std::uint64_t count = 1;
  std::uint32_t root = 0;
  bool in_place = false;
  std::uint64_t seed = 1;

  std::string text() const;
};
// A random one that is defined.
Case random_case(std::mt19937_64& random, std::uint32_t size, std::uint64_t most_elements);
bool is_defined(const Case& test);

class RankCase {
 public:
  RankCase(const Case& test, std::uint32_t rank, std::uint32_t size, RankDevice& device);
  ~RankCase();
  RankCase(const RankCase&) = delete;
  RankCase& operator=(const RankCase&) = delete;

  flagos_status_t call(flagos_comm_t* comm);
  // What is wrong after the stream has passed; "" when nothing is.
  std::string verify();

 private:
  struct Layout {
    std::vector<std::uint64_t> counts, offsets;
    std::uint64_t extent = 0;
  };
  Layout layout(std::uint32_t rank, bool transposed) const;
  double input(std::uint32_t rank, std::uint64_t index) const;
  double reduced(std::uint32_t last, std::uint64_t index) const;
  void put_reduced(std::uint64_t at, std::uint32_t last, std::uint64_t index);
  void put(std::vector<std::byte>& bytes, std::uint64_t index, double value) const;
  void plan();
  void fill_input(std::vector<std::byte>& bytes, std::uint64_t at, std::uint64_t count,
                  std::uint64_t from = 0) const;

  const Case case_;
  const std::uint32_t rank_, size_;
  RankDevice& device_;
  const std::uint64_t width_;
  Layout layout_, other_layout_;
  // What the buffers hold before and after; with in_place the source lies in the target.
  std::vector<std::byte> source_, target_, expected_target_;
  std::uint64_t place_ =
      0;  // of the source in the target, or of the target in the source, in elements
  bool target_in_source_ = false;
  flagos_address_t source_address_ = 0, target_address_ = 0;
};

}  // namespace flagos::comm::testing
