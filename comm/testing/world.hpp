// Devices, streams and buffers of ranks, for tests in one process and in several.
#pragma once

#include <flagos_comm.h>

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace flagos::comm::testing {

// Throws std::runtime_error with the text of the failing call.
void check(flagos_status_t status);

// An open device and what one rank does on it.
class RankDevice {
 public:
  explicit RankDevice(const std::string& id);
  ~RankDevice();
  RankDevice(const RankDevice&) = delete;
  RankDevice& operator=(const RankDevice&) = delete;

  // Whether the machine has such a device.
  static bool exists(const std::string& id);

  flagos_device_t* device() const { return device_; }
  flagos_stream_t* stream() const { return stream_; }
  flagos_address_t alloc(std::uint64_t bytes);
  void free(flagos_address_t address);
  void upload(flagos_address_t target, const std::vector<std::byte>& bytes);
  std::vector<std::byte> download(flagos_address_t source, std::uint64_t bytes);
  flagos_status_t synchronize(std::uint64_t timeout_ns = 60'000'000'000);

 private:
  flagos_device_t* device_ = nullptr;
  flagos_stream_t* stream_ = nullptr;
};

// A variable of the environment while this lives; then it is what it was.
class Variable {
 public:
  Variable(const char* name, const std::string& value);
  ~Variable();
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

// From FLAGOS_TEST_SEED, else a new one; printed once.
std::uint64_t seed();

}  // namespace flagos::comm::testing
