// A device for the tests of operators.
#pragma once

#include <flagos_ops.h>

#include <optional>
#include <string>

#include "ops/testing/caller.hpp"

namespace flagos::ops::testing {

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

  // As Caller has them.
  flagos_status_t call(const std::string& op, const Arguments& arguments);
  flagos_address_t upload(const HostTensor& tensor) { return caller_->upload(tensor); }
  void download(HostTensor& tensor, flagos_address_t address) {
    caller_->download(tensor, address);
  }
  void free(flagos_address_t address) { caller_->free(address); }
  const Caller& caller() const { return *caller_; }

 private:
  flagos_runtime_t* runtime_ = nullptr;
  flagos_device_t* device_ = nullptr;
  flagos_stream_t* stream_ = nullptr;
  std::optional<Caller> caller_;
  std::string id_;
};

// From FLAGOS_TEST_SEED, else a new one, printed once.
std::uint64_t seed();
// FLAGOS_OPS_TEST_DTYPES, such as "float32,int64"; all when it is not set.
bool wants(DType dtype);

}  // namespace flagos::ops::testing
