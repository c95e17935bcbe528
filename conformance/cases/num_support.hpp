// What cases of category num share: the operators on the device under test, with the examples of the operators' own tests.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "ops/testing/examples.hpp"

namespace flagos::conformance {

namespace op = flagos::ops::testing;
using flagos::ops::DType;
using op::Placement;

class Operators {
 public:
  // NOT_SUPPORTED for a device that takes no portable kernels.
  explicit Operators(Context& t);

  // float64 is not everywhere.
  bool computes_in(DType dtype);
  // Of these, what the device computes in; with --quick the first one and int32.
  std::vector<DType> types(std::initializer_list<DType> all);
  // Runs, judges and, where the result is exact, adds it to the digest.
  void run(op::Example example);
  // An operator refuses the call, and says which operator it is.
  void refuse(const std::string& name, const op::Arguments& arguments, flagos_status_t status);

  const op::Caller& caller() const { return caller_; }
  op::Random& random() { return t_.random(); }
  bool quick() const { return t_.settings().quick; }

 private:
  Context& t_;
  Stream stream_;
  op::Caller caller_;
  std::optional<bool> has_f64_;
};

}  // namespace flagos::conformance
