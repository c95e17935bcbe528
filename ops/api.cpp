// The exported functions: the table, the call by index, and one function for each operator.
#include <flagos_ops.h>

#include <bit>
#include <span>

#include "base/library_entry.hpp"
#include "ops/device.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"
#include "ops/trace.hpp"

using namespace flagos;
using namespace flagos::ops;

namespace {

const Operator& find(const char* name) {
  const Operator* const found = Table::get().find(name);
  if (found == nullptr)
    throw_error(FLAGOS_STATUS_NOT_FOUND,
                "no operator '{}'; flagos_ops_get_info and `flagos ops list` tell which there are",
                name);
  return *found;
}

// ---- how the arguments of the functions become those of the call ---------------------------------------------------

flagos_ops_argument_t by_address(const void* pointer, std::uint32_t count = 0) {
  return {reinterpret_cast<std::uintptr_t>(pointer), count, 0};
}
flagos_ops_argument_t by_value(std::int64_t value) {
  return {static_cast<std::uint64_t>(value), 0, 0};
}
flagos_ops_argument_t by_value(double value) { return {std::bit_cast<std::uint64_t>(value), 0, 0}; }

flagos_status_t call(flagos_stream_t* stream, std::uint32_t index,
                     std::span<const flagos_ops_argument_t> arguments) noexcept {
  return entry([&] {
    const auto& operators = Table::get().operators();
    if (index >= operators.size())
      throw_error(FLAGOS_STATUS_NOT_FOUND, "operator {} of {}", index, operators.size());
    Call made(*operators[index], stream, arguments);
    run_operator(*operators[index], made);
  });
}

}  // namespace

flagos_status_t flagos_ops_get_count(uint32_t* out_count) {
  return entry([&] {
    require(out_count, "out_count") = static_cast<std::uint32_t>(Table::get().operators().size());
  });
}

flagos_status_t flagos_ops_get_info(uint32_t index, flagos_ops_info_t* out_info) {
  return entry([&] {
    const std::uint32_t size = require(out_info, "out_info").struct_size;
    if (size < sizeof(*out_info))
      throw_error(FLAGOS_STATUS_INVALID_STRUCT_SIZE,
                  "out_info has struct_size {}, and {} is needed", size, sizeof(*out_info));
    *out_info = {size, 0, nullptr, nullptr, nullptr, nullptr, nullptr};
    const auto& operators = Table::get().operators();
    if (index >= operators.size())
      throw_error(FLAGOS_STATUS_NOT_FOUND, "operator {} of {}", index, operators.size());
    const Operator& op = *operators[index];
    *out_info = {size,
                 static_cast<std::uint32_t>(op.schema().parameters.size()),
                 op.name().c_str(),
                 op.schema_text(),
                 op.family(),
                 op.dtypes_text().c_str(),
                 op.bound_text().c_str()};
  });
}

flagos_status_t flagos_ops_find(const char* name, uint32_t* out_index) {
  return entry([&] {
    require(out_index, "out_index") = 0;
    *out_index = find(&require(name, "name")).index();
  });
}

flagos_status_t flagos_ops_get_native(flagos_device_t* device, uint32_t index,
                                      uint32_t* out_native) {
  return entry([&] {
    require(out_native, "out_native") = 0;
    const auto& operators = Table::get().operators();
    if (index >= operators.size())
      throw_error(FLAGOS_STATUS_NOT_FOUND, "operator {} of {}", index, operators.size());
    *out_native = native_indices(device)[index] != Device::not_native ? 1 : 0;
  });
}

flagos_status_t flagos_ops_set_preference(const char* name, flagos_ops_preference_t preference) {
  return entry([&] {
    if (preference != FLAGOS_OPS_PREFERENCE_NATIVE && preference != FLAGOS_OPS_PREFERENCE_PORTABLE)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "preference is {}, not a FLAGOS_OPS_PREFERENCE_*",
                  preference);
    if (name == nullptr) return Preferences::get().set_all(preference);
    Preferences::get().set(find(name).index(), preference);
  });
}

flagos_status_t flagos_ops_call(flagos_stream_t* stream, uint32_t index,
                                const flagos_ops_argument_t* arguments, uint32_t count) {
  if (arguments == nullptr && count != 0) return entry([&] { require(arguments, "arguments"); });
  return call(stream, index, {arguments, count});
}

// Made by flagos_ops_generate: flagos_ops_<name> for each operator.
#include "flagos_ops_functions.inc"
