// Calls of operators by name on tensors of the host, on any device; and how their results are judged.
#pragma once

#include <flagos_ops.h>

#include <complex>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ops/operator.hpp"
#include "ops/testing/host_tensor.hpp"

namespace flagos::ops::testing {

// An argument by its place in the schema: a tensor, a list of tensors, a number, a word; nothing where it is absent.
using Argument =
    std::variant<std::monostate, HostTensor*, std::vector<HostTensor*>, std::int64_t, double,
                 std::complex<float>, bool, std::vector<std::int64_t>, std::string>;
using Arguments = std::vector<Argument>;

// Described for the C interface; points into `tensor`.
flagos_tensor_t describe(const HostTensor& tensor, flagos_address_t address);

class Caller {
 public:
  // Of a device and a stream that live on.
  Caller(flagos_device_t* device, flagos_stream_t* stream) : device_(device), stream_(stream) {}

  // Copies the tensors to the device, calls, waits, and copies all of them back.
  flagos_status_t call(const std::string& op, const Arguments& arguments) const;
  // The same of the device's own version with this number, past the operator. Nothing where the device does not take it.
  std::optional<flagos_status_t> call_native(std::uint32_t index, const Arguments& arguments) const;
  // The same with device memory that lives on, for those that look at order, capture or cost.
  flagos_address_t upload(const HostTensor& tensor) const;
  void download(HostTensor& tensor, flagos_address_t address) const;
  void free(flagos_address_t address) const;

 private:
  flagos_device_t* device_;
  flagos_stream_t* stream_;
};

// What is wrong with a result; "" when nothing is. `expected` in the order of elements; `scale` is the sum of absolute
// values of what was added and `terms` their number, for bounds of sums; one for each element, or empty.
std::string compare(const HostTensor& result, const std::vector<Number>& expected, Bound bound,
                    const std::vector<Number>& scale = {}, std::int64_t terms = 1);

}  // namespace flagos::ops::testing
