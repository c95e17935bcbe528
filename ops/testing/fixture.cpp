#include "ops/testing/fixture.hpp"

#include "ops/testing/results.hpp"

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

flagos_tensor_t describe(const HostTensor& tensor, flagos_address_t address) {
  flagos_tensor_t out{};
  out.struct_size = sizeof(out);
  out.dtype = to_abi(tensor.dtype());
  out.address = address + tensor.offset_bytes();
  out.rank = static_cast<std::uint32_t>(tensor.rank());
  out.shape = tensor.shape().data();
  out.strides = tensor.strides().data();
  return out;
}

flagos_address_t Fixture::upload(const HostTensor& tensor) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = tensor.bytes().size();
  flagos_address_t address = 0;
  check(flagos_memory_alloc(device_, &desc, &address));
  check(flagos_memory_copy(stream_, address,
                           reinterpret_cast<std::uintptr_t>(tensor.bytes().data()),
                           tensor.bytes().size()));
  return address;
}

void Fixture::download(HostTensor& tensor, flagos_address_t address) {
  check(flagos_memory_copy(stream_, reinterpret_cast<std::uintptr_t>(tensor.bytes().data()),
                           address, tensor.bytes().size()));
}

void Fixture::free(flagos_address_t address) { check(flagos_memory_free(device_, address)); }

flagos_status_t Fixture::call(const std::string& op, const Arguments& arguments) {
  std::uint32_t index = 0;
  check(flagos_ops_find(op.c_str(), &index));
  flagos_ops_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_ops_get_info(index, &info));
  note_called(info.name);
  const Schema schema = Schema::parse(info.schema);

  std::deque<flagos_tensor_t> tensors;
  std::deque<flagos_scalar_t> scalars;
  std::deque<std::vector<const flagos_tensor_t*>> lists;
  std::vector<std::pair<HostTensor*, flagos_address_t>> places;
  std::vector<flagos_ops_argument_t> values;
  const auto pointer = [](const void* p) {
    return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(p));
  };
  const auto place = [&](HostTensor* tensor) {
    flagos_address_t address = 0;
    for (const auto& [known, at] : places)
      if (known == tensor) address = at;
    if (address == 0) {
      address = upload(*tensor);
      places.emplace_back(tensor, address);
    }
    tensors.push_back(describe(*tensor, address));
    return &tensors.back();
  };
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const Parameter* const parameter =
        i < schema.parameters.size() ? &schema.parameters[i] : nullptr;
    const bool by_address =
        parameter != nullptr && (parameter->optional || parameter->kind == Parameter::Kind::scalar);
    flagos_ops_argument_t value{};
    if (auto* const* tensor = std::get_if<HostTensor*>(&arguments[i])) {
      value.value = *tensor != nullptr ? pointer(place(*tensor)) : 0;
    } else if (const auto* list = std::get_if<std::vector<HostTensor*>>(&arguments[i])) {
      std::vector<const flagos_tensor_t*> made;
      for (HostTensor* const tensor_of_list : *list) made.push_back(place(tensor_of_list));
      lists.push_back(std::move(made));
      value.value = pointer(lists.back().data());
      value.count = static_cast<std::uint32_t>(list->size());
    } else if (const auto* integer = std::get_if<std::int64_t>(&arguments[i])) {
      value.value = static_cast<std::uint64_t>(*integer);
      if (by_address && parameter->kind == Parameter::Kind::scalar) {
        scalars.push_back({FLAGOS_DTYPE_INT64, 0, value.value});
        value.value = pointer(&scalars.back());
      } else if (by_address) {
        value.value = pointer(integer);
      }
    } else if (const auto* real = std::get_if<double>(&arguments[i])) {
      value.value = std::bit_cast<std::uint64_t>(*real);
      if (by_address && parameter->kind == Parameter::Kind::scalar) {
        scalars.push_back({FLAGOS_DTYPE_FLOAT64, 0, value.value});
        value.value = pointer(&scalars.back());
      } else if (by_address) {
        value.value = pointer(real);
      }
    } else if (const auto* flag = std::get_if<bool>(&arguments[i])) {
      value.value = static_cast<std::uint64_t>(*flag);
    } else if (const auto* numbers_given = std::get_if<std::vector<std::int64_t>>(&arguments[i])) {
      value.value = pointer(numbers_given->data());
      value.count = static_cast<std::uint32_t>(numbers_given->size());
    } else if (const auto* word = std::get_if<std::string>(&arguments[i])) {
      value.value = pointer(word->c_str());
    }
    values.push_back(value);
  }
  flagos_status_t status =
      flagos_ops_call(stream_, index, values.data(), static_cast<std::uint32_t>(values.size()));
  if (status == FLAGOS_STATUS_OK) {
    status = flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE);
    if (status == FLAGOS_STATUS_OK) {
      for (const auto& [tensor, address] : places) download(*tensor, address);
      status = flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE);
    }
  }
  const std::string text = flagos_last_error();
  // The device may have failed before the call queued all of its kernels: then the call itself says so.
  if (status == FLAGOS_STATUS_EXECUTION_FAILED) check(flagos_stream_reset(stream_));
  for (const auto& [tensor, address] : places) free(address);
  if (status != FLAGOS_STATUS_OK) flagos_set_last_error(text.c_str());
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

std::string compare(const HostTensor& result, const std::vector<Number>& expected, Bound bound,
                    const std::vector<Number>& scale, std::int64_t terms) {
  const DType dtype = result.dtype();
  const Number unit = ulp_at(dtype == DType::f64 ? DType::f64 : DType::f32, 1);
  const Number depth =
      std::max<Number>(std::log2(static_cast<Number>(std::max<std::int64_t>(terms, 2))), 1);
  for (std::int64_t i = 0; i < result.elements(); ++i) {
    const Number found = result.get(i), wanted = expected.at(static_cast<std::size_t>(i));
    const Number nearest = rounded(dtype, wanted);
    if (found == nearest || (std::isnan(found) && std::isnan(nearest))) continue;
    Number allowed = is_floating(dtype) ? bound.ulp * ulp_at(dtype, wanted) : 0;
    if (!scale.empty()) allowed += bound.sum * unit * depth * scale[static_cast<std::size_t>(i)];
    if (bound.sum != 0 || bound.ulp != 0) {
      // The result is rounded to the type once more.
      if (dtype == DType::f16 || dtype == DType::bf16) allowed += ulp_at(dtype, wanted) / 2;
      if (std::fabs(found - wanted) <= allowed) continue;
    }
    char text[256];
    std::snprintf(
        text, sizeof(text),
        "element %lld of %lld is %.18Lg, and %.18Lg is expected (%.3Lg ulp off, %.3Lg allowed)",
        static_cast<long long>(i), static_cast<long long>(result.elements()), found, wanted,
        std::fabs(found - wanted) / ulp_at(dtype, wanted), allowed / ulp_at(dtype, wanted));
    return text;
  }
  return "";
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
