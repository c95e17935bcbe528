#include "ops/testing/fixture.hpp"

#include "ops/table.hpp"
#include "ops/testing/results.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>

namespace flagos::ops::testing {
namespace {

void check(flagos_status_t status) {
  if (status != FLAGOS_STATUS_OK) throw std::runtime_error(flagos_last_error());
}

std::string environment(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

}  // namespace

Fixture::Fixture() : id_(environment("FLAGOS_OPS_TEST_DEVICE", "cpu")) {
  check(flagos_runtime_create(nullptr, &runtime_));
  std::uint32_t index = 0;
  if (flagos_device_find(runtime_, id_.c_str(), &index) != FLAGOS_STATUS_OK) {
    std::printf("skipped: %s\n", flagos_last_error());
    std::exit(77);
  }
  check(flagos_device_open(runtime_, index, &device_));
  flagos_stream_desc_t desc{};
  desc.struct_size = sizeof(desc);
  check(flagos_stream_create(device_, &desc, &stream_));
  caller_.emplace(device_, stream_);
}

Fixture::~Fixture() {
  flagos_stream_destroy(stream_);
  flagos_device_close(device_);
  flagos_runtime_destroy(runtime_);
}

Fixture& Fixture::get() {
  static Fixture fixture;
  return fixture;
}

flagos_status_t Fixture::call(const std::string& op, const Arguments& arguments) {
  const flagos_status_t status = caller_->call(op, arguments);
  if (const Operator* const known = Table::get().find(op))
    note_call(*known, arguments, status == FLAGOS_STATUS_OK);
  return status;
}

bool Fixture::computes_in(DType dtype) const {
  // Where the device has no float64, its operators say so; tests look at the others.
  if (dtype != DType::f64) return true;
  static const bool has = [&] {
    HostTensor x = HostTensor::of(DType::f64, {1}, {2}), out(DType::f64, {1});
    return const_cast<Fixture*>(this)->call("sqrt", {&x, &out}) == FLAGOS_STATUS_OK;
  }();
  return has;
}

bool Fixture::is_thorough() const {
  return id_.rfind("cpu", 0) == 0 || environment("FLAGOS_OPS_TEST_FULL", "") == "1";
}

std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* const given = std::getenv("FLAGOS_TEST_SEED");
    const std::uint64_t chosen =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device()();
    std::printf("seed %llu (FLAGOS_TEST_SEED takes it back)\n",
                static_cast<unsigned long long>(chosen));
    return chosen;
  }();
  return value;
}

bool wants(DType dtype) {
  static const std::string list = "," + environment("FLAGOS_OPS_TEST_DTYPES", "") + ",";
  return list == ",," || list.find(std::string(",") + dtype_name(dtype) + ",") != std::string::npos;
}

}  // namespace flagos::ops::testing
