// A device for the tests of operators, and calls by name on tensors of the host.
#pragma once

#include <flagos_ops.h>

#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ops/operator.hpp"
#include "ops/testing/host_tensor.hpp"

namespace flagos::ops::testing {

// An argument by its place in the schema: a tensor, a list of tensors, a number, a word; nothing where it is absent.
using Argument = std::variant<std::monostate, HostTensor*, std::vector<HostTensor*>, std::int64_t,
                              double, bool, std::vector<std::int64_t>, std::string>;
using Arguments = std::vector<Argument>;

class Fixture {
 public:
  // The device that FLAGOS_OPS_TEST_DEVICE names; the cpu's first one when it names none.
  Fixture();
  ~Fixture();
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;
  // One for the program.
  static Fixture& get();

  flagos_device_t* device() const { return device_; }
  flagos_stream_t* stream() const { return stream_; }
  const std::string& device_id() const { return id_; }
  bool computes_in(DType dtype) const;
  // Whether kernels are made quickly here: then every operator is tried on every placement of tensors. Elsewhere the
  // engines are, and each operator on dense ones. FLAGOS_OPS_TEST_FULL=1 tries all everywhere.
  bool is_thorough() const;

  // Copies the tensors to the device, calls, waits, and copies all of them back.
  flagos_status_t call(const std::string& op, const Arguments& arguments);
  // The same with device memory that lives on, for those that look at order, capture or cost.
  flagos_address_t upload(const HostTensor& tensor);
  void download(HostTensor& tensor, flagos_address_t address);
  void free(flagos_address_t address);

 private:
  flagos_runtime_t* runtime_ = nullptr;
  flagos_device_t* device_ = nullptr;
  flagos_stream_t* stream_ = nullptr;
  std::string id_;
};

// Described for the C interface; points into `tensor`.
flagos_tensor_t describe(const HostTensor& tensor, flagos_address_t address);

// What is wrong with a result; "" when nothing is. `expected` in the order of elements; `scale` is the sum of absolute
// values of what was added and `terms` their number, for bounds of sums; one for each element, or empty.
std::string compare(const HostTensor& result, const std::vector<Number>& expected, Bound bound,
                    const std::vector<Number>& scale = {}, std::int64_t terms = 1);

// From FLAGOS_TEST_SEED, else a new one, printed once.
std::uint64_t seed();
// FLAGOS_OPS_TEST_DTYPES, such as "float32,int64"; all when it is not set.
bool wants(DType dtype);

}  // namespace flagos::ops::testing
