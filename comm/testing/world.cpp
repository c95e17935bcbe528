#include "comm/testing/world.hpp"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace flagos::comm::testing {
namespace {

flagos_runtime_t* runtime() {
  static flagos_runtime_t* const made = [] {
    flagos_runtime_t* value = nullptr;
    check(flagos_runtime_create(nullptr, &value));
    return value;
  }();
  return made;
}

flagos_address_t address_of(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

}  // namespace

void check(flagos_status_t status) {
  if (status != FLAGOS_STATUS_OK)
    throw std::runtime_error(std::string(flagos_status_get_name(status)) + ": " +
                             flagos_last_error());
}

RankDevice::RankDevice(const std::string& id) {
  std::uint32_t index = 0;
  check(flagos_device_find(runtime(), id.c_str(), &index));
  check(flagos_device_open(runtime(), index, &device_));
  check(flagos_stream_create(device_, nullptr, &stream_));
}

RankDevice::~RankDevice() {
  flagos_stream_destroy(stream_);
  const flagos_status_t status = flagos_device_close(device_);
  if (status != FLAGOS_STATUS_OK)
    std::fprintf(stderr, "closing a device: %s\n", flagos_last_error());
}

bool RankDevice::exists(const std::string& id) {
  std::uint32_t index = 0;
  return flagos_device_find(runtime(), id.c_str(), &index) == FLAGOS_STATUS_OK;
}

flagos_address_t RankDevice::alloc(std::uint64_t bytes) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = bytes;
  flagos_address_t address = 0;
  check(flagos_memory_alloc(device_, &desc, &address));
  return address;
}

void RankDevice::free(flagos_address_t address) { check(flagos_memory_free(device_, address)); }

void RankDevice::upload(flagos_address_t target, const std::vector<std::byte>& bytes) {
  check(flagos_memory_copy(stream_, target, address_of(bytes.data()), bytes.size()));
  check(flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE));
}

std::vector<std::byte> RankDevice::download(flagos_address_t source, std::uint64_t bytes) {
  std::vector<std::byte> result(bytes);
  check(flagos_memory_copy(stream_, address_of(result.data()), source, bytes));
  check(flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE));
  return result;
}

flagos_status_t RankDevice::synchronize(std::uint64_t timeout_ns) {
  return flagos_stream_synchronize(stream_, timeout_ns);
}

Variable::Variable(const char* name, const std::string& value) : name_(name) {
  if (const char* const before = std::getenv(name)) before_ = before;
  setenv(name, value.c_str(), 1);
}

Variable::~Variable() {
  if (before_) {
    setenv(name_, before_->c_str(), 1);
  } else {
    unsetenv(name_);
  }
}

std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* const given = std::getenv("FLAGOS_TEST_SEED");
    const std::uint64_t found =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("FLAGOS_TEST_SEED=%llu\n", static_cast<unsigned long long>(found));
    return found;
  }();
  return value;
}

}  // namespace flagos::comm::testing
