// What the cases on native collectives share: ranks as threads of this process, and numbers that are exact in every dtype.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "conformance/cases/work.hpp"

namespace flagos::conformance::coll {

using Desc = flagos_collective_desc_t;
using Function = flagos_status_t (*)(flagos_communicator_t*, flagos_stream_t*, const Desc*);

constexpr std::uint64_t soon_ns = 500'000'000, late_ns = 60'000'000'000;

constexpr CaseOptions options_of(const char* clause, Oracle oracle = Oracle::exact,
                                 Isolation isolation = Isolation::shared) {
  return {.clause = clause,
          .level = Level::optional,
          .oracle = oracle,
          .isolation = isolation,
          .feature = "collective"};
}

std::uint32_t support_of(Context& t, flagos_collective_operation_t operation, flagos_dtype_t dtype,
                         flagos_collective_reduction_t reduction = 0);
bool takes(Context& t, flagos_collective_operation_t operation, flagos_dtype_t dtype,
           flagos_collective_reduction_t reduction = 0);
void require_operation(Context& t, flagos_collective_operation_t operation,
                       flagos_dtype_t dtype = FLAGOS_DTYPE_UINT8,
                       flagos_collective_reduction_t reduction = 0);

// Calls body(rank), each from a thread: ranks may wait for each other.
void in_threads(std::uint32_t count, const std::function<void(std::uint32_t)>& body);

flagos_collective_id_t make_id(Context& t);
flagos_status_t join(flagos_device_t* device, const flagos_collective_id_t& id, std::uint32_t rank,
                     std::uint32_t size, std::uint64_t timeout_ns, flagos_communicator_t** out);

// Ranks with a stream and two buffers each; the target has room for a source of every rank.
class Ranks {
 public:
  Ranks(Context& t, std::uint32_t size, std::uint64_t bytes = 1 << 16,
        std::uint64_t timeout_ns = late_ns);
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  std::uint32_t size() const { return size_; }
  flagos_communicator_t*& communicator(std::uint32_t i) { return all_[i]; }
  Stream& stream(std::uint32_t i) { return *streams_[i]; }
  Buffer& source(std::uint32_t i) { return *sources_[i]; }
  Buffer& target(std::uint32_t i) { return *targets_[i]; }

  Desc desc(std::uint32_t i, flagos_dtype_t dtype, std::uint64_t count);
  std::vector<Desc> descs(flagos_dtype_t dtype, std::uint64_t count);
  // One call on every rank; returns the first status that is not OK.
  flagos_status_t call(Function function, const std::vector<Desc>& descs);
  void run(Function function, const std::vector<Desc>& descs);

 private:
  Context& t_;
  const std::uint32_t size_;
  std::vector<flagos_communicator_t*> all_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Buffer>> sources_, targets_;
};

// ---- numbers ------------------------------------------------------------------------------------

inline constexpr flagos_dtype_t dtypes[] = {
    FLAGOS_DTYPE_INT8,    FLAGOS_DTYPE_UINT8,  FLAGOS_DTYPE_INT32,   FLAGOS_DTYPE_UINT32,
    FLAGOS_DTYPE_INT64,   FLAGOS_DTYPE_UINT64, FLAGOS_DTYPE_FLOAT16, FLAGOS_DTYPE_BFLOAT16,
    FLAGOS_DTYPE_FLOAT32, FLAGOS_DTYPE_FLOAT64};

std::uint64_t width_of(flagos_dtype_t dtype);
// A small positive integer as the dtype has it; exact in all of them.
void encode(std::uint32_t number, flagos_dtype_t dtype, std::uint8_t* out);
std::vector<std::uint8_t> encoded(const std::vector<std::uint32_t>& numbers, flagos_dtype_t dtype);
std::uint32_t reduced(flagos_collective_reduction_t reduction, std::uint32_t a, std::uint32_t b);
std::uint32_t value_of(std::uint32_t rank, std::uint64_t i);
std::vector<std::uint8_t> values_of(std::uint32_t rank, std::uint64_t count, flagos_dtype_t dtype);
std::vector<std::uint8_t> reduced_values(std::uint32_t size, std::uint64_t first,
                                         std::uint64_t count, flagos_dtype_t dtype,
                                         flagos_collective_reduction_t reduction);
// Bytes that tell whose they are and for whom.
std::vector<std::uint8_t> tagged(std::uint32_t from, std::uint32_t to, std::uint64_t count);
std::vector<std::uint64_t> counts_of(Context& t);

}  // namespace flagos::conformance::coll
