// Native operators: what a plugin offers, the checks of a call, and a call that outlives its caller.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace flagos::core {

struct Tables;

// What the plugin lists; throws PLUGIN_PROTOCOL for nonsense.
std::vector<flagos_operator_info_t> read_operators(const Tables& tables, flagos_plugin_device_t* device);

// A deep copy of a call that was checked.
class OperatorCall {
 public:
  explicit OperatorCall(const flagos_operator_desc_t& desc);
  OperatorCall(const OperatorCall&) = delete;
  OperatorCall& operator=(const OperatorCall&) = delete;
  const flagos_operator_desc_t& desc() const { return desc_; }

 private:
  std::uint64_t keep(const flagos_operator_argument_t& argument);
  std::uint64_t keep_tensor(const flagos_tensor_t& tensor);
  std::uint64_t keep_numbers(const std::int64_t* numbers, std::uint32_t count);

  flagos_operator_desc_t desc_;
  std::vector<flagos_operator_argument_t> arguments_;
  std::deque<flagos_tensor_t> tensors_;
  std::deque<std::vector<std::int64_t>> numbers_;
  std::deque<std::vector<const flagos_tensor_t*>> lists_;
  std::deque<std::string> texts_;
};

template <typename T>
const T* pointer_in(const flagos_operator_argument_t& argument) {
  return reinterpret_cast<const T*>(static_cast<std::uintptr_t>(argument.value));
}

// Calls function(index of the argument, tensor) for all tensors of a call.
template <typename Function>
void for_each_tensor(const flagos_operator_desc_t& desc, Function&& function) {
  for (std::uint32_t i = 0; i < desc.argument_count; ++i) {
    const flagos_operator_argument_t& argument = desc.arguments[i];
    if (argument.type == FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR) {
      function(i, *pointer_in<flagos_tensor_t>(argument));
    } else if (argument.type == FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSORS) {
      for (std::uint32_t k = 0; k < argument.count; ++k) function(i, *pointer_in<const flagos_tensor_t*>(argument)[k]);
    }
  }
}

}  // namespace flagos::core
